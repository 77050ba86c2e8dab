"""What is hidden from a model: nothing is lost, rates are kept, and a row depends on its seed and place alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.transformer import IGNORED
from components.training.data.batches import Batch, Causal, Masked, Objective, SpanCorruption

END, MASK, WORDS, LENGTH = 100, 101, 100, 64
SENTINELS = range(110, 140)
CAUSAL = Causal(END, document_mask=True)
MASKED = Masked(END, END, MASK, np.arange(WORDS), document_mask=True, rate=0.15, masked=0.8, random=0.1)
SPANS = SpanCorruption(END, SENTINELS, rate=0.15, mean_span=3.0)


def windows(rows: int = 8, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    made = chance.integers(WORDS, size=(rows, LENGTH + 1))
    made[chance.random(made.shape) < 0.05] = END
    return made


@pytest.mark.parametrize("learn", [CAUSAL, MASKED, SPANS], ids=["causal", "masked", "spans"])
def test_a_row_depends_on_its_seed_and_place_alone(learn: Objective) -> None:
    made, places = windows(), np.arange(40, 48)
    together = learn(made, places, 1)
    parts = [learn(made[row : row + 1], places[row : row + 1], 1) for row in range(8)]
    assert same(Batch.cat(parts), together)
    if learn is not CAUSAL:
        assert not same(learn(made, places, 2), together)
        assert not same(learn(made, places + 1, 1), together)


def same(one: Batch, other: Batch) -> bool:
    pairs = zip(one.tensors(), other.tensors(), strict=True)
    return all(a.equal(b) if a is not None and b is not None else a is b for a, b in pairs)


def test_the_next_token_is_the_target_and_a_document_a_segment() -> None:
    batch = CAUSAL(np.array([[5, 6, END, 7, 8]]), np.array([0]), 0)
    assert batch.tokens_BT.tolist() == [[5, 6, END, 7]]
    assert batch.targets_BT.tolist() == [[6, END, 7, 8]]
    assert batch.segments_BT is not None
    assert batch.segments_BT.tolist() == [[0, 0, 1, 1]]
    start = MASK  # of a tokenizer that has a token of its own for it
    framed = Causal(start, document_mask=True)(np.array([[5, END, start, 7, 8]]), np.array([0]), 0)
    assert framed.segments_BT is not None
    assert framed.segments_BT.tolist() == [[0, 0, 1, 1]]
    assert Causal(END, document_mask=False)(np.array([[5, 6]]), np.array([0]), 0).segments_BT is None


@given(st.integers(0, 50))
def test_hidden_tokens_are_the_targets_and_the_others_stay(seed: int) -> None:
    made = windows(seed=seed)
    batch = MASKED(made, np.arange(8), seed)
    hidden = batch.targets_BT != IGNORED
    text = np.where(hidden, batch.targets_BT, batch.tokens_BT)
    assert (text == made[:, :-1]).all()
    assert not (batch.targets_BT == END).any()


def test_masks_come_at_their_rates() -> None:
    made = windows(rows=400)
    batch = MASKED(made, np.arange(400), 3)
    hidden = (batch.targets_BT != IGNORED).numpy()
    words = made[:, :-1] != END
    assert hidden.sum() / words.sum() == pytest.approx(0.15, abs=0.01)
    shown, text = batch.tokens_BT.numpy()[hidden], made[:, :-1][hidden]
    assert (shown == MASK).mean() == pytest.approx(0.8, abs=0.03)
    assert (shown == text).mean() == pytest.approx(0.1, abs=0.03)


@given(st.integers(0, 50), st.floats(0.05, 0.6), st.floats(1.0, 6.0))
def test_the_target_fills_the_holes_of_the_source(seed: int, rate: float, mean_span: float) -> None:
    spans = SpanCorruption(END, range(110, 200), rate, mean_span)
    made = windows(rows=3, seed=seed)
    batch = spans(made, np.arange(3), seed)
    assert batch.source_BS is not None
    hidden, count = spans.sizes(LENGTH)
    assert batch.source_BS.shape == (3, LENGTH - hidden + count)
    assert batch.targets_BT.shape == (3, hidden + count + 1)
    assert (batch.tokens_BT[:, 1:] == batch.targets_BT[:, :-1]).all()
    assert set(batch.tokens_BT[:, 0].tolist()) == {END}
    for row, text in enumerate(made[:, :-1].tolist()):
        assert filled(batch.source_BS[row].tolist(), batch.targets_BT[row].tolist()) == text


def filled(source: list[int], target: list[int]) -> list[int]:
    pieces: dict[int, list[int]] = {}
    for token in target[:-1]:
        if token >= 110:
            pieces[token] = current = []
        else:
            current.append(token)
    assert all(pieces.values())
    return [token for part in source for token in (pieces[part] if part >= 110 else [part])]
