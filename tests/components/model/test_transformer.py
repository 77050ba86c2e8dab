"""The laws of the three shapes: who sees whom, what counts in the loss, how much is computed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from components.model.transformer import IGNORED, PADDING_SEGMENT, Transformer, same_segment
from tests.components.support.shapes import ALL, LENGTH, VOCAB_SIZE, config, model, tokens


@pytest.fixture(scope="module", params=list(ALL))
def any_shape(request: pytest.FixtureRequest) -> Transformer:
    return model(config(**ALL[request.param]))


def loss(ours: Transformer, parts: list[Tensor], sources: list[Tensor]) -> Tensor:
    """The loss of texts packed in one row, each a segment of its own, with padding behind them."""
    batch, segments = row(parts)
    targets = torch.where(segments == PADDING_SEGMENT, IGNORED, batch.roll(-1, 1))
    if ours.config.architecture != "encoder_decoder":
        return ours.loss(batch, targets, segments)
    return ours.loss(batch, targets, segments, *row(sources))


def row(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
    padding = LENGTH - sum(len(part) for part in parts)
    ids = torch.cat([*parts, torch.zeros(padding, dtype=torch.long)])
    numbers = [torch.full((len(part),), number) for number, part in enumerate(parts)]
    return ids[None], torch.cat([*numbers, torch.full((padding,), PADDING_SEGMENT)])[None]


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(2, 8), min_size=1, max_size=3), st.integers(0, 9))
def test_a_text_costs_the_same_alone_and_packed(any_shape: Transformer, lengths: list[int], seed: int) -> None:
    texts = [tokens(1, length, seed + length)[0] for length in lengths]
    sources = [tokens(1, length + 1, seed)[0] for length in lengths]
    # The target of a text's last token is the first of the next one: the same in both cases.
    starts = [text[0] for text in [*texts[1:], torch.tensor([0])]]
    alone = sum(
        one(any_shape, text, start, source).item() for text, start, source in zip(texts, starts, sources, strict=True)
    )
    assert loss(any_shape, texts, sources).item() == pytest.approx(alone, rel=1e-4)


def one(ours: Transformer, text: Tensor, start: Tensor, source: Tensor) -> Tensor:
    batch, targets = text[None], torch.cat([text[1:], start[None]])[None]
    if ours.config.architecture != "encoder_decoder":
        return ours.loss(batch, targets)
    return ours.loss(batch, targets, None, source[None])


@pytest.mark.parametrize("name", ["decoder", "ngrams", "encoder_decoder", "original"])
def test_a_later_token_never_changes_an_earlier_logit(name: str) -> None:
    ours, batch = model(config(**ALL[name])), tokens()
    changed = batch.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % VOCAB_SIZE
    memory = {} if ours.encoder is None else {"memory_BSC": ours.encode(tokens(seed=2))}
    before, after = ours(batch, **memory), ours(changed, **memory)
    torch.testing.assert_close(before[:, :20], after[:, :20], atol=1e-5, rtol=0)
    assert (before[:, 20:] != after[:, 20:]).any(-1).all()


def test_every_token_of_an_encoder_sees_every_other() -> None:
    ours, batch = model(config(**ALL["encoder"])), tokens()
    changed = batch.clone()
    changed[:, 20] = (changed[:, 20] + 1) % VOCAB_SIZE
    assert (ours(batch) != ours(changed)).any(-1).all()


@pytest.mark.parametrize("name", ["encoder_decoder", "original"])
def test_every_token_of_the_source_reaches_every_token_that_is_written(name: str) -> None:
    ours, batch, source = model(config(**ALL[name])), tokens(), tokens(seed=2)
    before = ours(batch, memory_BSC=ours.encode(source))
    source[:, 7] = (source[:, 7] + 1) % VOCAB_SIZE
    assert (before != ours(batch, memory_BSC=ours.encode(source))).any(-1).all()


@pytest.mark.parametrize("positions", ["rotary", "learned", "sinusoidal"])
def test_positions_matter(positions: str) -> None:
    ours = model(config(architecture="encoder", positions=positions))
    one, other = ours(torch.tensor([[5, 6, 7, 8]])), ours(torch.tensor([[6, 5, 7, 8]]))
    assert not torch.allclose(one[0, 2:], other[0, 2:], atol=1e-4)


def test_ignored_targets_are_not_in_the_loss() -> None:
    ours, batch = model(config()), tokens()
    targets = batch.clone()
    targets[:, 5:] = IGNORED
    cut = batch[:, :5]
    torch.testing.assert_close(ours.loss(batch, targets), ours.loss(cut, cut), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("name", list(ALL))
def test_a_few_targets_have_the_gradients_of_the_whole_model(name: str) -> None:
    ours, batch = model(config(**ALL[name])).train(), tokens(4, 32)
    source = tokens(4, 16) if ours.config.architecture == "encoder_decoder" else None
    targets = torch.full_like(batch, IGNORED)
    targets[1:3, ::4] = batch[1:3, ::4]
    weights = list(ours.parameters())
    logits = ours(batch, memory_BSC=None if source is None else ours.encode(source))
    plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    expected = torch.autograd.grad(plain, weights)
    for one, other in zip(torch.autograd.grad(ours.loss(batch, targets, None, source), weights), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_a_few_targets_take_less_work() -> None:
    ours, batch = model(config()).train(), tokens(4, 32)
    targets = torch.full_like(batch, IGNORED)
    targets[:, -1] = batch[:, -1]
    work = []
    for each in (batch, targets):
        with FlopCounterMode(display=False) as counter:
            ours.loss(batch, each).backward()
        work.append(counter.get_total_flops())
    computed = 64  # of 128 positions
    assert work[0] - work[1] == ours.flops_per_target() * (batch.numel() - computed)


def test_padding_sees_something() -> None:
    segments = torch.tensor([[0, 0, 1, PADDING_SEGMENT]])
    mask = same_segment(segments, torch.tensor([[0, 1]]))
    assert mask is not None
    assert mask[0, 0].tolist() == [[True, False], [True, False], [False, True], [True, True]]


def test_the_logits_stay_within_the_soft_cap() -> None:
    ours = model(config(logit_soft_cap=0.5))
    assert ours(tokens()).abs().max().item() < 0.5
    batch = tokens()
    nats = ours(batch[:, :-1]).log_softmax(-1).gather(-1, batch[:, 1:, None]).sum()
    torch.testing.assert_close(ours.loss(batch[:, :-1], batch[:, 1:]), -nats, rtol=1e-5, atol=1e-3)


def test_the_z_loss_is_the_square_of_the_normaliser() -> None:
    ours, batch = model(config()), tokens()
    squares = ours(batch).logsumexp(-1).square().sum()
    added = ours.loss(batch, batch, z_loss=0.1) - ours.loss(batch, batch)
    torch.testing.assert_close(added, 0.1 * squares, rtol=1e-4, atol=1e-2)


def test_recomputing_gives_the_same_gradients(any_shape: Transformer) -> None:
    texts, sources = [tokens(1, 9)[0]], [tokens(1, 7)[0]]
    any_shape.train()
    gradients = []
    for activation_checkpointing in (False, True):
        for stack in any_shape.stacks():
            stack.activation_checkpointing = activation_checkpointing
        any_shape.zero_grad()
        loss(any_shape, texts, sources).backward()
        gradients.append([weight.grad.clone() for weight in any_shape.parameters() if weight.grad is not None])
    any_shape.eval()
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_from_zero_projections_a_model_begins_as_its_embedding() -> None:
    ours = Transformer(config())
    ours.initialize(torch.Generator().manual_seed(0), zero_projections=True)
    expected = ours.head(ours.decoder.norm(ours.embedding(tokens())))
    assert torch.equal(ours(tokens()), expected)


@pytest.mark.parametrize("name", list(ALL))
def test_flops_are_those_that_torch_counts(name: str) -> None:
    ours = model(config(**ALL[name])).train()
    batch, source = tokens(1, 32), tokens(1, 16)
    reads = ours.config.architecture == "encoder_decoder"
    with FlopCounterMode(display=False) as counter:
        ours.loss(batch, batch, None, source if reads else None).backward()
    total = ours.flops_per_token(32, 16) * (32 + 16) if reads else ours.flops_per_token(32) * 32
    # On the CPU a causal attention computes half of what it masks; ours counts none of it.
    halved = 0 if ours.config.architecture == "encoder" else 32 * 32 // 4
    masked = 12 * ours.config.num_layers * ours.config.num_heads * ours.config.head_dim * halved
    assert total + masked == counter.get_total_flops()


def test_sizes_follow_from_depth() -> None:
    shapes = [config(depth=depth, hidden_size=None) for depth in (4, 8, 12, 24)]
    assert [shape.hidden_size for shape in shapes] == [256, 512, 768, 1536]
    assert (shapes[2].num_heads, shapes[2].num_kv_heads, shapes[2].intermediate_size) == (12, 6, 2048)


def test_heads_must_share_keys_evenly() -> None:
    with pytest.raises(ValueError, match="multiple of num_kv_heads"):
        config(num_heads=4, num_kv_heads=3)
