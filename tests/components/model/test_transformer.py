"""The decoder against `transformers` with the same weights, and the laws of a causal model."""

from pathlib import Path

import pytest
import torch
import transformers

from components.model import hf
from components.model.config import ModelConfig, ModelSettings
from components.model.transformer import IGNORED, Transformer, within_segments


def config(**sizes: int) -> ModelConfig:
    settings = ModelSettings(depth=2, tie_embeddings=True, rope_theta=1e4, norm_eps=1e-6, hidden_size=64, **sizes)
    return settings.build(vocab_size=97, max_sequence_length=32)


def model(shape: ModelConfig) -> Transformer:
    made = Transformer(shape)
    made.initialize(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in made.parameters():  # larger than at the start, so that every part shows in the logits
            weight.mul_(4 if weight.ndim == 2 else 0.9)
    return made.eval()


def tokens(rows: int = 2, length: int = 32) -> torch.Tensor:
    return torch.randint(0, 97, (rows, length), generator=torch.Generator().manual_seed(1))


def whole(batch: torch.Tensor) -> torch.Tensor:
    """Each row as one segment."""
    return torch.zeros_like(batch)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize("tied", [True, False])
def test_logits_and_gradients_are_those_of_qwen3(tmp_path: Path, heads: tuple[int, int], tied: bool) -> None:
    settings = ModelSettings(
        depth=2, tie_embeddings=tied, rope_theta=1e4, norm_eps=1e-6, hidden_size=64, num_heads=heads[0],
        num_kv_heads=heads[1], head_dim=32,
    )  # fmt: skip
    ours = model(settings.build(vocab_size=97, max_sequence_length=32))
    hf.save(ours, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    batch = tokens()
    torch.testing.assert_close(ours(batch), theirs(batch).logits, atol=1e-4, rtol=0)
    ours.loss(batch[:, :-1], batch[:, 1:], whole(batch[:, 1:])).backward()
    (theirs(batch, labels=batch).loss * batch[:, 1:].numel()).backward()
    names = hf._names(ours.config)
    gradients = dict(ours.named_parameters())
    reference = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parts in names.items():
        expected = torch.cat([reference[part] for part in parts])
        torch.testing.assert_close(gradients[name].grad, expected, atol=1e-3, rtol=1e-3)


def test_a_folder_holds_the_whole_model(tmp_path: Path) -> None:
    ours = model(config(num_heads=2, num_kv_heads=1, head_dim=16))
    hf.save(ours, tmp_path)
    loaded = hf.load(tmp_path)
    assert loaded.config == ours.config
    assert torch.equal(loaded(tokens()), ours(tokens()))


def test_a_later_token_never_changes_an_earlier_logit() -> None:
    ours, batch = model(config()), tokens()
    changed = batch.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % 97
    assert torch.equal(ours(batch)[:, :20], ours(changed)[:, :20])
    assert not torch.equal(ours(batch)[:, 20:], ours(changed)[:, 20:])


def test_packed_documents_do_not_see_each_other() -> None:
    ours, batch = model(config()), tokens(rows=1, length=24)
    segments = torch.tensor([[0] * 10 + [1] * 14])
    targets = batch.roll(-1, 1)
    packed = ours.loss(batch, targets, segments)
    alone = sum(
        ours.loss(batch[:, part], targets[:, part], whole(batch[:, part])) for part in (slice(0, 10), slice(10, 24))
    )
    torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-5)
    assert within_segments(segments)[0, 0, 12].tolist() == [False] * 10 + [True] * 3 + [False] * 11


def test_ignored_targets_are_not_in_the_loss() -> None:
    ours, batch = model(config()), tokens()
    targets = batch.clone()
    targets[:, 5:] = IGNORED
    cut = batch[:, :5]
    torch.testing.assert_close(
        ours.loss(batch, targets, whole(batch)), ours.loss(cut, cut, whole(cut)), atol=1e-3, rtol=1e-5
    )


def test_sizes_follow_from_depth() -> None:
    shape = ModelSettings(depth=12, tie_embeddings=True, rope_theta=1e4, norm_eps=1e-6).build(50304, 1024)
    assert (shape.hidden_size, shape.num_heads, shape.num_kv_heads, shape.intermediate_size) == (768, 12, 6, 2048)


def test_heads_must_share_keys_evenly() -> None:
    with pytest.raises(ValueError, match="multiple of num_kv_heads"):
        ModelSettings(depth=2, tie_embeddings=True, rope_theta=1e4, norm_eps=1e-6, num_heads=4, num_kv_heads=3)


def test_flops_are_six_a_weight_and_attention() -> None:
    ours = model(config(num_heads=2, num_kv_heads=2, head_dim=16))
    matrices = 2 * (64 * 96 + 32 * 64 + 3 * 64 * ours.config.intermediate_size) + 64 * 97
    assert ours.flops_per_token(32) == 6 * matrices + 6 * 2 * 32 * 32
