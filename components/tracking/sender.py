"""The process next to a training run that sends its metrics file to MLflow, and samples the machine.

`python -m components.tracking.sender FILE KEY`. It is a process, not a thread: whatever MLflow does, including its
import, takes nothing from the interpreter that trains. It ends when its standard input does: the stage has ended,
or was killed.
"""

import logging
import os
import select
import signal
import sys
import time
from pathlib import Path

from components.core.process import die_with_parent
from components.tracking import delivery, spool
from components.tracking.delivery import Delivery
from components.tracking.system import Machine

SEND_EVERY = 10.0  # seconds
PATIENCE = 5  # seconds for the rest, once the stage has ended; the next one sends what is left then
NICENESS = 10

log = logging.getLogger("lmforge")


class Sender:
    """Sends what is new in a file, and prints when MLflow stops or resumes accepting it."""

    def __init__(self, path: Path, key: str) -> None:
        self._delivery, self._key = Delivery(path), key
        self.answers = True

    def send(self) -> None:
        """Send what is new, if MLflow accepts it."""
        try:
            # Steps grow within a run: what an earlier start of this stage left has to be sent first.
            earlier = (path for path in spool.waiting(self._key) if path < self._delivery.path)
            if all(delivery.send_leftover(path) for path in earlier):
                self._delivery.send()
        except Exception as error:  # whatever MLflow raises, sending is tried again
            self._note(False, delivery.one_line(error))
        else:
            self._note(True, "")

    def close(self) -> None:
        """Remove the file when all of it was sent; the run of a killed stage is closed as KILLED."""
        if self.answers and self._delivery.ended:
            self._delivery.path.unlink(missing_ok=True)
        elif self.answers:
            delivery.send_leftover(self._delivery.path)

    def _note(self, answers: bool, why: str) -> None:
        if answers != self.answers:
            print("MLflow", "takes metrics again" if answers else "takes no metrics: they wait on disk", flush=True)
        if not answers:
            log.warning("metrics wait in %s: %s", self._delivery.path, why)
        self.answers = answers


def main(path: Path, key: str) -> None:
    _live_with_parent()
    sender, machine = Sender(path, key), Machine()
    sender.send()
    if sender.answers:
        delivery.send_leftovers()
    ended = False
    while not ended:
        ended = bool(select.select([sys.stdin], [], [], SEND_EVERY)[0])
        if ended:
            signal.alarm(PATIENCE)
        # MLflow draws these against time; their step only has to grow, also in a resumed run.
        spool.append(path, {"step": time.time_ns() // 10**6, "metrics": machine.metrics()})
        sender.send()
    sender.close()


def _live_with_parent() -> None:
    """Give priority to the training run, and once it ends, by whatever signal, exit within `PATIENCE` seconds."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(PATIENCE))
    die_with_parent()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
