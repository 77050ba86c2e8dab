"""Muon: its updates are close to orthogonal, and its protocol is that of the fused AdamW."""

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

from components.training.engine.muon import MOMENTUM, Muon, flops, orthogonal

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
    mp.spawn(_sharded, (port,), nprocs=2)  # type: ignore[no-untyped-call]


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
