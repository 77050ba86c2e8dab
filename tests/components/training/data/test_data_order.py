"""Which step read which rows, told from a few figures, against what a training really did."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.training.data.batches import Batch
from components.training.data.data_order import Reading, Rollback
from tests.components.support.toy import WithoutTargets, run


def reading(steps: int, rollbacks: tuple[Rollback, ...] = (), replay: float = 0.25) -> Reading:
    return Reading(
        seed=1,
        steps=steps,
        batch_size=4,
        length=16,
        reach=17,
        shares=(("examples", 1 - replay), ("documents", replay)),
        rollbacks=rollbacks,
        skipped_steps=(),
    )


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=4))
def test_steps_lead_to_slots_and_slots_to_steps(ways_back: list[tuple[int, int]]) -> None:
    """A training run with rollbacks, done by hand, step by step."""
    read: list[int] = []
    rollbacks, behind = [], 0
    for back_to, length in ways_back:
        read += [behind + step for step in range(len(read), back_to + length)]
        at = len(read)
        back_to = min(back_to, at)
        behind += at - back_to
        read = read[:back_to]
        rollbacks.append(Rollback(step=at, back_to=back_to, passed_over=behind * 4))
    read += [behind + step for step in range(len(read), 50)]
    way = reading(50, tuple(rollbacks))
    assert [way.slot(step) for step in range(1, 51)] == read
    assert way.end() == 4 * (read[-1] + 1)
    found = {slot: way.step(slot) for slot in range(read[-1] + 5)}
    assert {slot: step for slot, step in found.items() if step} == {slot: step for step, slot in enumerate(read, 1)}


def test_it_is_what_the_training_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[int] = []

    def read(places: np.ndarray) -> Batch:
        seen.append(int(places[0]) // 4)
        return WithoutTargets((7, 8, 9, 10))(places)

    _, history, _ = run(tmp_path / "x", read)
    assert history.rollbacks == [Rollback(step=10, back_to=6, passed_over=16)]
    assert history.skipped_steps == [7]  # it met the last of the bad rows; 8 to 10 were taken back
    way = reading(12, tuple(history.rollbacks))
    assert [way.slot(step) for step in range(1, 13)] == [*range(6), *range(10, 16)]
    assert [way.step(slot) for slot in range(5, 11)] == [6, None, None, None, None, 7]
    assert way.end() // 4 in seen[-2:]  # the batch behind the last one is read ahead


def test_steps_are_of_one_table_by_the_shares() -> None:
    way = reading(400, replay=0.125)
    documents = list(way.steps_on("documents"))
    assert len(documents) == pytest.approx(50, abs=2)
    assert sorted([*documents, *way.steps_on("examples")]) == list(range(1, 401))
