"""The learning rate of a step, what decays, and Muon: close to orthogonal, with the protocol of the fused AdamW."""

import math
import socket
from collections.abc import Iterable

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils.flop_counter import FlopCounterMode

from components.model.layers import Attention
from components.stages.pretrain import build as build_model
from components.training.engine.optimizer import MOMENTUM, Muon, build, flops, learning_rate, orthogonal
from tests.components.support.sizes import optimization, pretrain


@given(st.integers(1, 300), st.integers(0, 50), st.floats(0, 1), st.sampled_from(["linear", "cosine"]))
def test_the_rate_stays_between_zero_and_its_peak(steps: int, warmup: int, share: float, decay: str) -> None:
    settings = optimization(steps=steps, warmup_steps=warmup, decay_share=share, decay=decay)
    rates = [learning_rate(step, settings) for step in range(steps)]
    assert all(0 < rate <= settings.learning_rate * (1 + 1e-12) for rate in rates)


def test_it_warms_up_stays_and_falls() -> None:
    settings = optimization(steps=100, warmup_steps=9, decay_share=0.2, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[9:80] == [1.0] * 71
    assert rates[80:] == pytest.approx([1 - n / 20 for n in range(20)])


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_every_weight_is_trained_once_and_only_matrices_decay(kind: str) -> None:
    settings = pretrain(optimizer=kind)
    model = build_model(settings, vocab_size=50)
    names = {weight: name for name, weight in model.named_parameters()}
    groups = [
        group for optimizer in build(model, settings.optimization, torch.float32) for group in optimizer.param_groups
    ]
    trained = {names[weight]: group["weight_decay"] for group in groups for weight in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(names) == len(trained)
    assert all(decay == (0 if "norm" in name else 0.1) for name, decay in trained.items())


def test_muon_takes_the_matrices_of_the_layers() -> None:
    settings = pretrain(optimizer="muon")
    model = build_model(settings, vocab_size=50)
    muon, _ = build(model, settings.optimization, torch.float32)
    assert {id(weight) for weight in muon.param_groups[0]["params"]} == {
        id(weight) for block in model.blocks() for weight in block.parameters() if weight.ndim == 2
    }


def test_every_head_moves_by_itself() -> None:
    """The gradient of one head, however large, changes nothing for the others."""
    plain, loud = _after_a_step(factor=1.0), _after_a_step(factor=100.0)
    head = plain.head_dim
    assert torch.equal(plain.qkv.weight[head:], loud.qkv.weight[head:])
    assert torch.equal(plain.out.weight[:, head:], loud.out.weight[:, head:])


def _after_a_step(factor: float) -> Attention:
    """The first attention after a step of Muon, the gradient of whose first head was multiplied."""
    settings = pretrain(optimizer="muon")
    model = build_model(settings, vocab_size=50)
    muon, _ = build(model, settings.optimization, torch.float32)
    generator = torch.Generator().manual_seed(1)
    for weight in muon.param_groups[0]["params"]:
        weight.grad = torch.randn(weight.shape, generator=generator)
    attention = next(model.blocks()).attention
    attention.qkv.weight.grad[: attention.head_dim] *= factor
    attention.out.weight.grad[:, : attention.head_dim] *= factor
    muon.step()
    return attention


SHAPES = [(6, 10), (10, 6), (8, 8), (6, 10)]


def weights(seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def give_gradients(parameters: Iterable[nn.Parameter], seed: int, factor: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator) * factor


def optimizer(
    parameters: Iterable[nn.Parameter], *, compiled: bool = False, precision: torch.dtype = torch.bfloat16
) -> Muon:
    blocks = {parameter: (parameter.shape[0], parameter.shape[1]) for parameter in parameters}
    return Muon(blocks, lr=0.02, weight_decay=0.1, precision=precision, compiled=compiled)


def exactly_orthogonal(matrix: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 48), st.integers(1, 48), st.integers(0, 99), st.floats(-1.5, 0), st.booleans())
@example(2, 2, 11, -1.0, False)
@example(48, 16, 0, -1.5, True)
@example(6, 17, 16, -0.9918022349136334, False)
def test_singular_values_come_close_to_one(rows: int, columns: int, seed: int, least: float, alone: bool) -> None:
    """Spread evenly, or one direction that outweighs all others, as gradients have it.

    Rounding in bf16 leads out of the range of the polynomials: of 1.4 million matrices to 0.673 and 1.301.
    """
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(200, rows, rows, generator=generator))[0]
    right = torch.linalg.qr(torch.randn(200, columns, columns, generator=generator))[0]
    rank = min(rows, columns)
    values = torch.logspace(0, least, rank)
    if alone:
        values[1:] = 10**least
    matrices = (left[:, :, :rank] * values) @ right[:, :, :rank].mT
    for precision, low, high in ((torch.bfloat16, 0.65, 1.32), (torch.float32, 0.69, 1.31)):
        found = torch.linalg.svdvals(orthogonal(matrices.to(precision)).float())
        assert found.min() > low
        assert found.max() < high


@pytest.mark.parametrize("values", [[1.0] + 31 * [0.0], [1.0] * 32, [1.0] + 31 * [1e-3]], ids=["one", "equal", "apart"])
def test_extreme_matrices_do_not_blow_up(values: list[float]) -> None:
    left, right = (torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(n)))[0] for n in (1, 2))
    matrix = (left * torch.tensor(values) @ right)[None]
    for precision in (torch.bfloat16, torch.float32):
        assert torch.linalg.matrix_norm(orthogonal(matrix.to(precision)).float(), 2) < 1.3


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_its_operations_are_those_that_torch_counts(precision: torch.dtype) -> None:
    matrix = nn.Parameter(torch.randn(24, 40))
    with FlopCounterMode(display=False) as counter:
        orthogonal(matrix.detach().view(3, 8, 40).to(precision))
    assert flops({matrix: (8, 40)}, precision) == counter.get_total_flops()


def test_nothing_comes_of_zero() -> None:
    assert not orthogonal(torch.zeros(2, 4, 6)).any()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_a_step_is_the_one_of_the_paper(precision: torch.dtype) -> None:
    ours, momenta = weights(), [torch.zeros(shape) for shape in SHAPES]
    theirs = [weight.detach().clone() for weight in ours]
    muon = optimizer(ours, precision=precision)
    for seed in range(3):
        give_gradients(ours, seed)
        for weight, momentum, parameter in zip(theirs, momenta, ours, strict=True):
            assert parameter.grad is not None
            momentum.lerp_(parameter.grad, 1 - MOMENTUM)
            ahead = parameter.grad.lerp(momentum, MOMENTUM)
            scale = 0.02 * 0.2 * math.sqrt(max(weight.shape))
            weight.mul_(1 - 0.02 * 0.1).sub_(scale * exactly_orthogonal(ahead))
        muon.step()
    for weight, parameter in zip(theirs, ours, strict=True):
        assert (weight - parameter).abs().max() < 0.3 * 3 * 0.02 * 0.2 * math.sqrt(10)  # 0.29 from 1 in each step


@pytest.mark.parametrize(("shape", "block"), [((12, 10), (4, 10)), ((10, 12), (10, 4)), ((12, 12), (4, 6))])
def test_blocks_move_as_matrices_of_their_own(shape: tuple[int, int], block: tuple[int, int]) -> None:
    whole = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    places = [(r, c) for r in range(0, shape[0], block[0]) for c in range(0, shape[1], block[1])]

    def parts(matrix: Tensor) -> list[Tensor]:
        return [matrix[r : r + block[0], c : c + block[1]].clone() for r, c in places]

    alone = [nn.Parameter(part) for part in parts(whole.detach())]
    give_gradients([whole], seed=2)
    assert whole.grad is not None
    for part, gradient in zip(alone, parts(whole.grad), strict=True):
        part.grad = gradient
    Muon({whole: block}, lr=0.02, weight_decay=0.1, precision=torch.bfloat16, compiled=False).step()
    optimizer(alone).step()
    for part, moved in zip(parts(whole.detach()), alone, strict=True):
        torch.testing.assert_close(part, moved.detach())


def test_gradients_are_divided_by_their_scale() -> None:
    plain, scaled = weights(), weights()
    one, other = optimizer(plain), optimizer(scaled)
    other.grad_scale = torch.tensor(8.0)
    for seed in range(2):
        give_gradients(plain, seed)
        give_gradients(scaled, seed, factor=8.0)
        one.step()
        other.step()
    assert all(torch.equal(a, b) for a, b in zip(plain, scaled, strict=True))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_skipped_step_leaves_no_trace(compiled: bool) -> None:
    one, other = weights(), weights()
    straight, bumpy = optimizer(one, compiled=compiled), optimizer(other, compiled=compiled)
    for seed in range(2):
        give_gradients(one, seed)
        straight.step()
        give_gradients(other, 99, factor=math.nan)
        bumpy.found_inf = torch.ones(())
        bumpy.step()
        give_gradients(other, seed)
        bumpy.found_inf = torch.zeros(())
        bumpy.step()
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_goes_on_from_its_state() -> None:
    whole, halves = weights(), weights()
    straight, first = optimizer(whole), optimizer(halves)
    for seed in (1, 2):
        give_gradients(whole, seed)
        straight.step()
    give_gradients(halves, 1)
    first.step()
    second = optimizer(halves)
    second.load_state_dict(first.state_dict())
    give_gradients(halves, 2)
    second.step()
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))
    assert {name for state in second.state_dict()["state"].values() for name in state} == {"momentum_buffer"}


def test_shards_move_as_the_whole_would() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(_sharded, (port,), nprocs=2, start_method="forkserver")  # type: ignore[no-untyped-call]


def _sharded(rank: int, port: int) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        alone = nn.Sequential(*(nn.Linear(7, 5, bias=False) for _ in range(2)))  # 5 rows on 2 processes
        together = nn.Sequential(*(nn.Linear(7, 5, bias=False) for _ in range(2)))
        together.load_state_dict(alone_state := _same_everywhere(alone))
        alone.load_state_dict(alone_state)
        fully_shard(together, mesh=init_device_mesh("cpu", (2,)))
        for module in (alone, together):
            muon = optimizer(module.parameters())
            for seed in range(2):
                _give_sharded_gradients(module.parameters(), seed)
                muon.step()
        for whole, sharded in zip(alone.parameters(), together.parameters(), strict=True):
            torch.testing.assert_close(sharded.full_tensor(), whole.data)  # type: ignore[attr-defined]
    finally:
        dist.destroy_process_group()


def _same_everywhere(module: nn.Module) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(value.shape, generator=generator) for name, value in module.state_dict().items()}


def _give_sharded_gradients(parameters: Iterable[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        whole = torch.randn(parameter.shape, generator=generator)
        if isinstance(parameter, dist.tensor.DTensor):
            whole = dist.tensor.distribute_tensor(
                whole, parameter.device_mesh, parameter.placements, src_data_rank=None
            )
        parameter.grad = whole
