"""The command of the worker's runs: `python -m flows.isolated ENTRYPOINT`, in the main tree.

It makes the worktree of the flow run, or finds it, and there becomes Prefect's engine, which imports the flow of the
entrypoint (`flows.training.train`) and all that this imports from the worktree: the code of one commit.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

from components.stage import StageError, die_with_parent
from flows import worktree


def main() -> NoReturn:
    """Move into the worktree and become the engine; the process stays the same, so that signals reach it."""
    _, entrypoint = sys.argv
    die_with_parent()
    try:
        tree = worktree.make(Path.cwd(), os.environ["PREFECT__FLOW_RUN_ID"])
    except StageError as error:
        print(f"lmforge: {error}", file=sys.stderr)
        sys.exit(error.code)
    os.chdir(tree)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tree), os.environ.get("PYTHONPATH")]))
    os.execv(sys.executable, [sys.executable, "-m", "prefect.flow_engine", entrypoint])


if __name__ == "__main__":
    main()
