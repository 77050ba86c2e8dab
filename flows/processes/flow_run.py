"""The process that a worker starts for a flow run: it becomes Prefect's engine, and ends when the worker does.

`python -m flows.processes.flow_run` runs the flow in the main tree. With an entrypoint, such as
`flows.pipeline.train.train`, it first changes into the worktree of the flow run, and creates it if needed; there the
engine imports the flow, and all its dependencies in this repository, from the worktree: the code of one commit.

docs/decisions.md, "When the worker dies, its runs die"
"""

import os
import runpy
import sys
from pathlib import Path
from typing import NoReturn

from components.core.errors import StageError
from components.core.process import die_with_parent
from flows.processes import worktree


def main() -> None:
    """Become the engine; the process stays the same, so that signals reach it."""
    die_with_parent()
    if len(sys.argv) == 1:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    else:
        _run_in_worktree(sys.argv[1])


def _run_in_worktree(entrypoint: str) -> NoReturn:
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
