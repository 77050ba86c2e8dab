"""The figures of a training as a person sees them in the Prefect UI."""

from flows.progress import describe


def test_the_figures_are_a_table() -> None:
    state = {
        "done": 120,
        "total": 800,
        "unit": "steps",
        "rate": 2.0,
        "eta": 340.4,
        "figures": {"loss": "4.1", "tokens/s": "8,200"},
    }
    assert describe("pretrain", state).splitlines() == [
        "**pretrain**",
        "",
        "| | |",
        "| --- | ---: |",
        "| steps | 120 of 800 |",
        "| loss | 4.1 |",
        "| tokens/s | 8,200 |",
        "| ETA | 0:05:40 |",
    ]
