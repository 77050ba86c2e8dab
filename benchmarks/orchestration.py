"""Overhead of orchestration: a run with nothing to do, a stage that does next to nothing, the idle servers.

    python -m benchmarks.orchestration [--quick]

The graph is a chain of stages that each copy one small file, so that only overhead is timed. It is run by a flow
that starts its own Prefect server, by one that finds a server running, and by `dvc repro`. There are 10 stages, about
as many as lmforge has, and 100, or 20 with `--quick`. The best of some rounds counts, since other load on the machine
can only add to it. The last line is one JSON object: a run with nothing to do of the smaller graph, a stage of the
larger one, and all services of `lmforge up`.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.cli import status
from flows.processes import environment
from flows.services import lifecycle, recovery, supervisor
from flows.services.server import prefect_server
from flows.services.service import POOL

SIZES, QUICK_SIZES = (10, 100), (10, 20)  # stages
ROUNDS, QUICK_ROUNDS = 3, 1
FLOW = (sys.executable, "-c", "from benchmarks import orchestration; orchestration.run_graph()")
DVC = (sys.executable, "-m", "dvc", "repro", "--quiet")
REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Costs:
    """Costs of one graph, in seconds: runs with nothing to do, and what each stage adds when all of them run."""

    stages: int
    new_database: float  # the first run of a folder: Prefect's server creates its database
    noop_embedded: float
    noop_server: float
    noop_dvc: float
    per_stage: float
    per_stage_dvc: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as scratch:
        costs = [
            measure(Path(scratch) / str(stages), stages, QUICK_ROUNDS if quick else ROUNDS)
            for stages in (QUICK_SIZES if quick else SIZES)
        ]
        show(costs)
        megabytes = resident(Path(scratch) / "services")
    print(f"\nservices at rest: {', '.join(f'{name} {size:.0f} MB' for name, size in megabytes.items())}")
    figures = {
        "noop_embedded_s": costs[0].noop_embedded,
        "noop_server_s": costs[0].noop_server,
        "per_stage_s": costs[-1].per_stage,
        "services_mb": sum(megabytes.values()),
        "per_stage_ratio": costs[-1].per_stage / costs[0].per_stage,
    }
    print(json.dumps({name: round(figure, 2) for name, figure in figures.items()}))


def measure(folder: Path, stages: int, rounds: int) -> Costs:
    """Time flow and `dvc repro` over a graph of some stages, in the best of some rounds."""
    print(f"{stages} stages, {rounds} {'round' if rounds == 1 else 'rounds'}", flush=True)
    make_graph(folder, stages)
    run(folder, *DVC)  # now there is nothing to do
    with inside(folder):
        new_database = run(folder, *FLOW)
        noop_embedded = best(rounds, lambda: run(folder, *FLOW))
        with prefect_server() as server:
            server.wait_until_ready()
            noop_server = best(rounds, lambda: run(folder, *FLOW))
            all_by_flow = best(rounds, lambda: run_all(folder, *FLOW))
    noop_dvc = best(rounds, lambda: run(folder, *DVC))
    all_by_dvc = best(rounds, lambda: run_all(folder, *DVC))
    return Costs(
        stages=stages,
        new_database=new_database,
        noop_embedded=noop_embedded,
        noop_server=noop_server,
        noop_dvc=noop_dvc,
        per_stage=(all_by_flow - noop_server) / stages,
        per_stage_dvc=(all_by_dvc - noop_dvc) / stages,
    )


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """A context in which the folder is the current one, and its servers are the ones that are started and found."""
    before = dict(os.environ)
    try:
        with chdir(folder):
            for name in before:
                if name.startswith(("PREFECT_", "MLFLOW_")):
                    del os.environ[name]
            os.environ["PYTHONPATH"] = str(REPOSITORY)
            environment.prepare()
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def make_graph(folder: Path, stages: int) -> None:
    """A repository of git and DVC whose stages copy a file, each from the one before."""
    (folder / "out").mkdir(parents=True)
    names = ["source.txt", *(f"out/{number}.txt" for number in range(stages))]
    steps = [
        f"  stage-{number}: {{cmd: cp {source} {target}, deps: [{source}], outs: [{target}]}}\n"
        for number, (source, target) in enumerate(itertools.pairwise(names))
    ]
    (folder / "dvc.yaml").write_text("stages:\n" + "".join(steps))
    (folder / "source.txt").write_text("a small file")
    (folder / ".gitignore").write_text("/.lmforge/\n/out/\n")
    run(folder, "git", "init", "--quiet")
    run(folder, sys.executable, "-m", "dvc", "init", "--quiet")


def run_graph() -> None:
    """Run the graph of the current folder as the `train` flow does, without what follows the graph."""
    environment.prepare()
    with prefect_server() as server:
        from prefect import flow

        from flows.pipeline import dvc_process, train

        server.wait_until_ready()

        @flow
        def graph() -> None:
            with dvc_process.supervised():
                train.bring_up_to_date()

        graph()


def run(folder: Path, *command: str) -> float:
    """The seconds that a command takes in a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**kept, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def run_all(folder: Path, *command: str) -> float:
    """The same when every stage has to run, since the source is a new one."""
    (folder / "source.txt").write_text(f"a small file of {time.time_ns()}")
    return run(folder, *command)


def best(rounds: int, measured: Callable[[], float]) -> float:
    return min(measured() for _ in range(rounds))


def resident(folder: Path) -> dict[str, float]:
    """Megabytes of each service of `lmforge up` with all its processes; shared memory is counted once (PSS)."""
    folder.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", folder)
    with inside(folder):
        state = lifecycle.up(supervisor.ListenOptions())
        try:
            wait_for_worker(f"{state['services']['prefect']['url']}/api")
            sizes = {name: status.memory(service["pid"]) for name, service in state["services"].items()}
            return sizes | {"supervisor": status.memory(state["pid"]) - sum(sizes.values())}
        finally:
            lifecycle.down()


def wait_for_worker(api: str) -> None:
    """Return when the worker has loaded all that it needs: it has sent a heartbeat, and polled for runs twice."""
    while not recovery.ask(api, "POST", f"/work_pools/{POOL}/workers/filter", {}):
        time.sleep(0.5)
    time.sleep(10)


def show(costs: Sequence[Costs]) -> None:
    """Print the table."""
    rows = [
        ("first run of a folder (new database)", "new_database"),
        ("nothing to do, server to be started", "noop_embedded"),
        ("nothing to do, server running", "noop_server"),
        ("nothing to do, `dvc repro`", "noop_dvc"),
        ("each stage, flow", "per_stage"),
        ("each stage, `dvc repro`", "per_stage_dvc"),
    ]
    print(f"\n{'seconds':38}" + "".join(f"{cost.stages:>6} stages" for cost in costs) + "   ratio")
    for title, field in rows:
        figures = [getattr(cost, field) for cost in costs]
        print(f"{title:38}" + "".join(f"{figure:13.2f}" for figure in figures) + f"{figures[-1] / figures[0]:8.2f}")


if __name__ == "__main__":
    main()
