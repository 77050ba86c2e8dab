"""The figures of a training as a person sees them in the Prefect UI."""

from components.core.progress import ProgressState
from flows.pipeline.live_progress import describe

STATE = ProgressState(
    done=120,
    total=800,
    unit="steps",
    rate=2.0,
    eta=340.4,
    figures={"loss": "4.1", "tokens/s": "8,200"},
)


def test_the_figures_are_a_table() -> None:
    assert describe("pretrain", STATE).splitlines() == [
        "**pretrain**",
        "",
        "| | |",
        "| --- | ---: |",
        "| steps | 120 of 800 |",
        "| loss | 4.1 |",
        "| tokens/s | 8,200 |",
        "| ETA | 0:05:40 |",
    ]


def test_what_is_done_takes_no_more_time() -> None:
    rows = describe("pretrain", ProgressState(**{**STATE, "done": 800})).splitlines()[4:]
    assert rows == ["| steps | 800 of 800 |", "| loss | 4.1 |", "| tokens/s | 8,200 |"]
