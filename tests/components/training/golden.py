"""`python -m tests.components.training.golden`: take the figures of a hundred steps, as they are now, for right."""

import json
import tempfile
from pathlib import Path

from tests.components.training.test_loop import GOLDEN, golden_run

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        runs = {optimizer: golden_run(Path(folder) / optimizer, optimizer) for optimizer in ("adamw", "muon")}
    lines = [f'"{optimizer}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for optimizer, rows in runs.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
