"""A checkpoint of a family has the logits of `transformers` in our engine, or is refused: there is no third outcome."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.core.errors import BadData
from components.model import cpu_inference, formats, hf
from components.model.decode_state import DecodeState
from components.model.transformer import Transformer, same_segment
from tests.components.support.families import DECODERS, VOCAB_SIZE, configurations, read, save

LENGTH = 24
QUICK = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


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


@pytest.mark.slow("hundreds of configurations of each family")
@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data(), seed=st.integers(0, 99))
@settings(QUICK, max_examples=300)
def test_many_checkpoints_have_the_same_logits_or_are_refused(kind: str, data: st.DataObject, seed: int) -> None:
    check(data.draw(configurations(kind)), seed)


def test_the_older_form_of_linear_scaling_is_read(tmp_path: Path) -> None:
    content = ONE | {"rope_theta": 10_000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}
    theirs = save(content, tmp_path / "llama", 0)
    ours = hf.load(tmp_path / "llama")
    assert theirs is not None
    assert isinstance(ours, Transformer)
    batch = torch.arange(LENGTH)[None]
    with torch.no_grad():
        expected = theirs(batch).logits
        assert_equal(ours(batch), expected)
    save(ONE | {"rope_theta": 10_000.0}, tmp_path / "unscaled", 0)
    unscaled = hf.load(tmp_path / "unscaled")
    assert isinstance(unscaled, Transformer)
    assert (unscaled(batch) - expected).abs().max() > 0.1, "the scaling shows"


ONE = {
    "model_type": "llama", "vocab_size": VOCAB_SIZE, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 64, "pad_token_id": None,
}  # fmt: skip


@pytest.mark.parametrize("kind", DECODERS)
def test_what_a_configuration_leaves_out_is_what_transformers_takes(kind: str) -> None:
    """The defaults, one for one: the whole configuration of `transformers` says the same as an empty one."""
    whole = transformers.AutoConfig.for_model(kind).to_dict()
    assert formats.read({"model_type": kind}, kind) == formats.read(whole, kind)


def test_weights_that_the_configuration_does_not_account_for_are_refused(tmp_path: Path) -> None:
    save(ONE | {"tie_word_embeddings": True}, tmp_path / "llama", 0)
    path = tmp_path / "llama" / "model.safetensors"
    weights = load_file(path)
    save_file(weights | {"lm_head.weight": weights["model.embed_tokens.weight"].clone()}, path)
    hf.load(tmp_path / "llama")
    save_file(weights | {"lm_head.weight": weights["model.embed_tokens.weight"] + 1}, path)
    with pytest.raises(BadData, match=r"lm_head.weight, which its config.json does not account for"):
        hf.load(tmp_path / "llama")
    save_file(weights | {"model.norm.weight": torch.ones(3)}, path)
    with pytest.raises(BadData, match=r"model.norm.weight .* have the shape \[3\], not \[16\]"):
        hf.load(tmp_path / "llama")


def test_gradients_reach_every_weight_of_a_family_with_soft_caps_and_windows(tmp_path: Path) -> None:
    content = ONE | {"model_type": "gemma2", "head_dim": 8, "num_key_value_heads": 1, "sliding_window": 5}
    theirs = save(content, tmp_path / "gemma2", 1)
    ours = hf.load(tmp_path / "gemma2")
    assert theirs is not None
    batch = torch.randint(0, VOCAB_SIZE, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    ours.train().loss(batch[:, :-1], batch[:, 1:]).backward()
    logits = theirs(batch[:, :-1]).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").backward()
    expected = dict(theirs.named_parameters())
    form = formats.BY_TYPE["gemma2"]
    found = dict(ours.named_parameters())
    for name, parts in form.names(ours.config).items():  # type: ignore[arg-type]
        gradient = torch.cat([expected[part].grad for part in parts])  # type: ignore[misc]
        torch.testing.assert_close(found[name].grad, gradient, atol=1e-3, rtol=1e-3)
