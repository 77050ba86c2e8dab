"""The command of a worker's flow run: Prefect's engine, which ends when its worker does."""

import runpy

from components.stage import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
