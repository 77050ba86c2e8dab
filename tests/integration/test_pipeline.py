"""The whole road on a tiny corpus: by flow, by hand, again, after an edit, and after kill -9."""

import json
import re
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.flows.support.running import still_alive, wait_until
from tests.integration.support.working_copy import WorkingCopy, copy

pytestmark = pytest.mark.xdist_group("pipeline")

STAGES = (
    "ingest",
    "validate@raw",
    "prepare",
    "validate@prepared",
    "start",
    "tokenizer",
    "encode",
    "pretrain",
    "finetune@assistant",
    "evaluate-base",
    "evaluate@assistant",
    "package@assistant",
)


def test_the_run_ends_with_a_champion(finished: tuple[WorkingCopy, str]) -> None:
    road, output = finished
    assert re.search(r"^prefect +watch this run at http://127\.0\.0\.1:\d+/runs$", output, re.MULTILINE), output
    for stage in STAGES:
        assert re.search(rf"^{stage} +done in \d+ s$", output, re.MULTILINE), output
    assert output.index("at most about ") < output.index(" started"), "how long it takes is told before"
    assert (road.folder / ".lmforge/pace/stages/ingest.json").exists()
    assert "lmforge-assistant version 1" in output
    assert "@champion" in output
    for command in ("lmforge up", "lmforge chat"):
        assert command in output
    page = (road.folder / "reports/report-assistant.html").read_text(encoding="utf-8")
    assert "</html>" in page
    scores = json.loads((road.folder / "reports/evaluation/assistant/scores.json").read_text())
    assert set(scores["tasks"]) == {"topic", "sentiment_en", "sentiment_zh", "description", "question_answering"}


@pytest.mark.slow(reason="the killed run below is finished by hand, with the same record")
def test_by_hand_it_is_the_same(finished: tuple[WorkingCopy, str], fresh: Path, tmp_path: Path) -> None:
    by_flow, _ = finished
    by_hand = copy(fresh, tmp_path / "lmforge")
    by_hand.run("dvc", "repro", "package@assistant", "evaluate-base")
    assert by_hand.record() == by_flow.record()


def test_a_second_run_takes_all_from_the_cache(finished: tuple[WorkingCopy, str]) -> None:
    road, _ = finished
    before = road.record()
    output = road.run("flows.cli.main", "run")
    for stage in STAGES:
        assert re.search(rf"^{stage} +taken from the cache", output, re.MULTILINE), output
    assert "lmforge-assistant version 1 (" in output
    assert road.record() == before


def test_an_edit_runs_what_depends_on_it(finished: tuple[WorkingCopy, str], tmp_path: Path) -> None:
    road = copy(finished[0].folder, tmp_path / "lmforge")
    road.change("params.yaml", "# ", "# Another comment. ")
    assert stale(road) == set()
    rate = re.search(r"pretrain:\n(?:.*\n)*? +learning_rate: .*\n", (road.folder / "params.yaml").read_text())
    assert rate
    road.change("params.yaml", rate.group(), re.sub(r"learning_rate: \S+", "learning_rate: 0.0005", rate.group()))
    assert stale(road) == set(STAGES[STAGES.index("pretrain") :])
    plan = road.run("flows.cli.main", "plan")
    assert re.search(r"^pretrain +run: pretrain\.optimization\.learning_rate: .* → 0\.0005$", plan, re.MULTILINE), plan


def test_after_kill_9_it_resumes_to_the_same_weights(
    finished: tuple[WorkingCopy, str], fresh: Path, tmp_path: Path
) -> None:
    """Killed in the first training, resumed and killed behind it, and done by hand: the record is that of one run."""
    road = copy(fresh, tmp_path / "lmforge")
    process = road.start("flows.cli.main", "run")
    checkpoints = road.folder / ".checkpoints"
    wait_until(lambda: process.poll() is not None or any(checkpoints.glob("*/step-*")), bool, seconds=300, every=0.01)
    assert process.poll() is None, process.communicate()[0]
    assert any("components.stages.pretrain" in member.cmdline() for member in family(process))
    kill(process)

    process = road.start("flows.cli.main", "run")
    assert process.stdout
    output = []
    for line in process.stdout:
        output.append(line)
        if re.match(r"pretrain +done in ", line):
            break
    kill(process)
    assert any(re.match(r"pretrain +.*resum", line) for line in output), "".join(output)

    road.run("dvc", "repro", "package@assistant", "evaluate-base")  # what the model of the recipe needs
    assert road.recorded_stages() == finished[0].recorded_stages()


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes below a run."""
    return psutil.Process(process.pid).children(recursive=True)


def kill(process: "subprocess.Popen[str]") -> None:
    """kill -9 of a run, with which all has to end that it started."""
    below = family(process)
    process.kill()
    assert still_alive(below, 10) == []
    process.communicate()


def stale(road: WorkingCopy) -> set[str]:
    """The stages that would run."""
    lines = [line.split() for line in road.run("flows.cli.main", "plan").splitlines()[:-1]]
    return {words[0] for words in lines if words[1] == "run:"}
