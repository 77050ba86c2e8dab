"""Stages as Prefect tasks, each flow in a process of its own, against a real server."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.dvc import graph
from flows.processes import environment
from flows.retraining.usage import USAGE
from tests.flows.support import toy
from tests.flows.support.running import Flow, still_alive, wait_until

Start = Callable[[str], Flow]

pytestmark = pytest.mark.xdist_group("prefect")

ALL = {"ingest", "left", "pretrain", "finetune@assistant", "join"}


def test_by_flow_as_by_hand(pipeline: Path, run_flow: Start) -> None:
    first = run_flow("first")
    code, output = first.result()
    assert code == 0, output
    assert "left                 left says two" in output.splitlines()
    assert re.search(r"^left +done in \d+ s$", output, re.MULTILINE), output
    assert first.states(ALL) == dict.fromkeys(ALL, "Completed")
    assert "left says two" in first.logs()
    assert set(toy.started(pipeline)) == ALL
    by_flow = (pipeline / "dvc.lock").read_bytes()

    second = run_flow("second")
    code, output = second.result()
    assert code == 0, output
    assert second.states(ALL) == dict.fromkeys(ALL, "Cached")
    assert output.count("taken from the cache (unchanged)") == len(ALL)
    assert toy.started(pipeline) == []

    (pipeline / "dvc.lock").unlink()
    toy.dvc(pipeline, "repro", "--no-run-cache")
    assert (pipeline / "dvc.lock").read_bytes() == by_flow


def test_what_dvc_has_kept_of_earlier_runs_is_cached_too(pipeline: Path, run_flow: Start) -> None:
    toy.dvc(pipeline, "repro")
    toy.set_word(pipeline, "two", "zwei")
    toy.dvc(pipeline, "repro")
    toy.started(pipeline)
    toy.set_word(pipeline, "zwei", "two")
    flow = run_flow("back")
    code, output = flow.result()
    assert code == 0, output
    assert flow.states(ALL) == dict.fromkeys(ALL, "Cached")
    assert toy.started(pipeline) == []
    assert (pipeline / "out/left.txt").read_text() == "left two"


SAME = pytest.mark.slow(reason="another number takes the same way")


@pytest.mark.parametrize("code", [2, pytest.param(3, marks=SAME)])
def test_a_failure_is_the_stages_own_line(pipeline: Path, run_flow: Start, code: int) -> None:
    (pipeline / "fails-left").write_text(f"{code} {code}")
    flow = run_flow(f"fails-{code}")
    exit_code, output = flow.result()
    assert exit_code == 1
    assert output.splitlines()[-1] == f"{code}: left: told to fail with {code}"
    assert "Traceback" not in output
    states = flow.states({"ingest", "left"})
    assert (states["ingest"], states["left"]) == ("Completed", "Failed")
    assert "join" not in states
    started = toy.started(pipeline)
    assert started.count("left") == 1, "it was tried again"
    assert "join" not in started
    assert flow.state() == "Failed"
    for kept in (pipeline / environment.PREFECT_HOME / "storage").glob("*"):
        assert set(json.loads(kept.read_text())) == {"__exc_type__", "message"}, "it is no text of an error"


def test_only_try_again_is_tried_again(pipeline: Path, run_flow: Start) -> None:
    (pipeline / "fails-left").write_text("75 75")
    flow = run_flow("retries")
    code, output = flow.result()
    assert code == 0, output
    assert toy.started(pipeline).count("left") == 3
    assert flow.states({"left"})["left"] == "Completed"


def test_an_error_of_dvc_itself_is_told(pipeline: Path, run_flow: Start) -> None:
    (pipeline / "source.txt").unlink()
    code, output = run_flow("no-source").result()
    assert code == 1
    assert "source.txt" in output.splitlines()[-1]


def test_an_edit_during_the_run_is_not_recorded_as_good(pipeline: Path, run_flow: Start) -> None:
    toy.dvc(pipeline, "repro")
    toy.started(pipeline)
    toy.set_word(pipeline, "word: two, seconds: 0", "word: zwei, seconds: 3")
    flow = run_flow("edit")
    wait_until(lambda: (pipeline / "started.txt").exists(), bool)
    toy.set_word(pipeline, "word: zwei, seconds: 3", "word: zwo, seconds: 0")
    code, output = flow.result()
    assert code == 0, output
    assert "params.yaml changed while it ran" in flow.logs()
    assert toy.started(pipeline).count("left") == 2
    assert not graph.read_plan().stale
    toy.dvc(pipeline, "repro")
    assert "zwo" in (pipeline / "dvc.lock").read_text()


def test_one_training_at_a_time_and_the_rest_side_by_side(pipeline: Path, run_flow: Start) -> None:
    toy.set_word(pipeline, "rates: {low: 0.0003}", "seconds: 2")
    toy.set_word(pipeline, "word: two, seconds: 0", "word: two, seconds: 2")
    toy.set_word(pipeline, "word: three, seconds: 0", "word: three, seconds: 5")
    flow = run_flow("trainings")
    most = 0
    together: set[str] = set()
    while flow.process.poll() is None:
        names = running_stages(flow)
        together |= names if len(names) > 1 else set()
        most = max(most, len(names & {"pretrain", "finetune@assistant"}))
        time.sleep(0.05)
    code, output = flow.result()
    assert code == 0, output
    assert most == 1
    assert "left" in together
    artifacts = flow.artifacts()
    assert float(artifacts["progress-pretrain"]) == 100
    assert "| 50 of 50 |" in artifacts["figures-pretrain"]
    assert "ETA" not in artifacts["figures-pretrain"]
    assert "progress-left" not in artifacts
    uses = [json.loads(path.read_text()) for path in (pipeline / USAGE).iterdir()]
    assert {use["stage"] for use in uses} == {"pretrain", "finetune@assistant"}
    assert sum(use["minutes"] for use in uses) * 60 > 7
    assert json.loads(artifacts["plan"])[0] == {"stage": "ingest", "action": "run", "why": "never run"}


KILLED = pytest.mark.slow(reason="tests/chaos/test_processes.py kills a flow too, and `make test` does that")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGKILL, marks=KILLED)])
def test_nothing_is_left_when_the_flow_is_killed(pipeline: Path, run_flow: Start, number: signal.Signals) -> None:
    toy.set_word(pipeline, "word: three, seconds: 0", "word: three, seconds: 60")
    toy.set_word(pipeline, "word: two, seconds: 0", "word: two, seconds: 60")
    flow = run_flow(f"killed by {number.name}")
    wait_until(lambda: running_stages(flow), lambda names: {"left", "pretrain"} <= names)
    family = flow.family()
    assert {"left", "pretrain"} <= running_stages(flow)
    os.kill(flow.process.pid, number)
    alive = still_alive(family, 20)
    assert alive == []
    flow.process.wait(20)
    if number != signal.SIGKILL:
        assert wait_until(flow.state, lambda state: state != "Running") in ("Crashed", "Cancelled")


def test_a_stage_whose_dvc_is_killed_ends_with_it(pipeline: Path, run_flow: Start) -> None:
    toy.set_word(pipeline, "word: two, seconds: 0", "word: two, seconds: 60")
    flow = run_flow("no dvc")
    wait_until(lambda: running_stages(flow), lambda names: "left" in names)
    stage = next(process for process in flow.family() if "toy.py left" in command(process))
    dvc = next(process for process in flow.family() if command(process).endswith("repro --single-item left"))
    dvc.kill()
    psutil.wait_procs([stage], timeout=10)
    assert not stage.is_running()
    code, output = flow.result()
    assert code == 1
    assert output.splitlines()[-1].startswith("1: left: it was killed")


def running_stages(flow: Flow) -> set[str]:
    """Names of the stages whose processes are alive."""
    try:
        commands = [command(process).split() for process in flow.family()]
    except psutil.NoSuchProcess:
        return set()
    return {words[2] for words in commands if len(words) > 2 and words[1] == "toy.py"}


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
