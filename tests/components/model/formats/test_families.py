"""A checkpoint of a family has the logits of `transformers` in our engine, or is refused: there is no third outcome."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from torch import Tensor

from components.core.errors import BadData
from components.model import cpu_inference, hf
from components.model.decode_state import DecodeState
from components.model.transformer import Transformer, same_segment
from tests.components.support.families import DECODERS, VOCAB_SIZE, configurations, read, save

LENGTH = 24
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def check(content: dict[str, Any], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        theirs = save(content, Path(folder) / "theirs", seed)
        try:
            ours = hf.load(Path(folder) / "theirs")
        except BadData as error:
            note(f"refused: {error}")
            return
        if not isinstance(ours, Transformer):
            note("a module of transformers")
            return
        assert theirs is not None, "taken, but refused by transformers"
        batch = torch.randint(0, VOCAB_SIZE, (2, LENGTH), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            expected = theirs(batch).logits
        assert expected.std() > 0.01
        assert_equal(ours(batch), expected)
        assert_equal(written(ours, batch), expected)
        assert_equal(written(cpu_inference.pack(copy.deepcopy(ours)), batch), expected)
        check_packed_rows(ours, batch)
        check_export(ours, batch, expected, Path(folder) / "ours")


def assert_equal(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def written(model: Transformer, batch: Tensor) -> Tensor:
    """The logits by the cache of keys and values: of a prompt, of some tokens more, and then of each by itself."""
    state, first = DecodeState.read(model, batch[:, :5].tolist(), LENGTH, None)
    more = [state.advance(batch[:, 5:9]), *(state.advance(batch[:, [place]]) for place in range(9, LENGTH))]
    before = model(batch[:, :4])
    return torch.cat([before, first, *more], dim=1)


def check_packed_rows(model: Transformer, batch: Tensor) -> None:
    """Documents in one row have the logits that they have in rows of their own."""
    segments = torch.tensor([[0] * 10 + [1] * (LENGTH - 10)] * 2)
    found = model(batch, mask=same_segment(segments, segments, causal=True))
    assert_equal(found, torch.cat([model(batch[:, :10]), model(batch[:, 10:])], dim=1))


def check_export(model: Transformer, batch: Tensor, expected: Tensor, folder: Path) -> None:
    hf.save(model, folder)
    with torch.no_grad():
        assert_equal(read(folder)(batch).logits, expected)
    assert hf.load(folder).config == model.config


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data(), seed=st.integers(0, 99))
@QUICK
def test_a_checkpoint_has_the_same_logits_or_is_refused(kind: str, data: st.DataObject, seed: int) -> None:
    check(data.draw(configurations(kind)), seed)
