"""What `torchrun` starts in a test: a training in which the second process dies in mid-run, the first time."""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from components.training.data.batches import Batch
from components.training.engine import distributed
from tests.components.support.toy import rows, run


def dying(places: np.ndarray) -> Batch:
    """Rows up to those of step 7."""
    if places.max() >= 7 * 4 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return rows(places)


if __name__ == "__main__":
    with distributed.group():
        run(Path(sys.argv[1]), dying, parallel="fsdp")
