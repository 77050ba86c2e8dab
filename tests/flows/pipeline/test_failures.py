"""A stage that fails keeps back what needs it, and nothing else."""

from collections.abc import Callable
from pathlib import Path

from components.core.errors import BadData, BadSettings
from flows.pipeline.release import Unfinished
from tests.flows.support import toy
from tests.flows.support.running import Flow

AFTER = """
  after:
    cmd: python toy.py after out/after.txt
    params: [after.word]
    deps: [toy.py, out/pretrain.txt]
    outs: [out/after.txt]
"""


def test_the_rest_of_the_graph_goes_on(pipeline: Path, run_flow: Callable[[str], Flow]) -> None:
    with (pipeline / "dvc.yaml").open("a") as graph:
        graph.write(AFTER.removeprefix("\n"))
    with (pipeline / "params.yaml").open("a") as settings:
        settings.write("after: {word: six, seconds: 0}\n")
    toy.set_word(pipeline, "{word: three, seconds: 0}", "{word: three, seconds: 2}")
    (pipeline / "fails-left").write_text("3")
    code, output = run_flow("goes on").result()
    assert code == 1, output
    assert output.splitlines()[-1] == "3: left: told to fail with 3"
    started = toy.started(pipeline)
    assert {"after", "finetune@assistant"} <= set(started), "they need no `left`"
    assert "join" not in started


def test_several_failures_are_one_line_with_the_code_of_the_first() -> None:
    found = Unfinished.of([BadData("one"), BadSettings("two"), KeyError("three")])
    assert (str(found), found.code) == ("one; two; KeyError: 'three'", BadData.code)
