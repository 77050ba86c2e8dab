"""The processes of one training run, as `torchrun` starts them: one per GPU, on one machine or several; or only one.

Each process trains on its own rows, and the gradients of all are averaged. It holds either every weight (`ddp`) or
a part of the rows of each (`fsdp`: FSDP2, https://arxiv.org/abs/2304.11277), and the optimizer states of what it holds.
docs/decisions.md, "DDP and FSDP2, and no pipeline"
"""

import copy
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # exported at run time
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from components.model.interface import LanguageModel
from components.training.engine import hardware

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

Loss = Callable[..., Tensor]


@contextmanager
def group() -> Iterator[None]:
    """Join the process group of `torchrun`; without torchrun there is none.

    A process that fails does not destroy the group: it would wait forever for the others, which wait for it.
    """
    if not dist.is_torchelastic_launched():
        yield
        return
    device = hardware.device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, number, count = next(iter(rendezvous("env://")))
    # torchrun keeps its store when it restarts processes: the addresses of the dead ones are still in it.
    # docs/decisions.md, "A store for each attempt"
    fresh = PrefixStore(f"attempt-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    dist.init_process_group(backend, store=fresh, rank=number, world_size=count)
    yield
    dist.destroy_process_group()


def rank() -> int:
    """The rank of this process: 0, 1, ..."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_rank0() -> bool:
    """Whether this process has rank 0, which alone tracks metrics, and writes what is not sharded."""
    return rank() == 0


def all_reduce_sum(value: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if world_size() > 1:
        dist.all_reduce(value)
    return value


def broadcast(number: int) -> int:
    """The number of rank 0, on all ranks."""
    shared = torch.tensor(number)
    if world_size() > 1:
        dist.broadcast(shared, 0)
    return int(shared)


def is_sharded(weight: Tensor) -> TypeGuard["DTensor"]:
    """Whether a weight is sharded, so that each process holds some of its rows (FSDP)."""
    # Its import takes half a second, which only a run that shards spends.
    sharding = sys.modules.get("torch.distributed.tensor")
    return sharding is not None and isinstance(weight, sharding.DTensor)


def local_shard(weight: Tensor) -> Tensor:
    """The part of a weight, or of its optimizer state, that this process holds."""
    return weight.to_local() if is_sharded(weight) else weight


def full_tensor(weight: Tensor) -> Tensor:
    """The whole weight; a collective operation, which every process has to call."""
    return weight.full_tensor() if is_sharded(weight) else weight


def gather_rows(rows: Tensor, weight: Tensor) -> Tensor:
    """All rows of a tensor that is shaped like a weight, from the rows in each process, sharded like the weight."""
    return full_tensor(_sharded_as(weight, rows, weight.shape, weight.stride())) if is_sharded(weight) else rows


def shard_rows(all_rows: Tensor, weight: Tensor) -> Tensor:
    """The rows of this process, from a tensor that is shaped like a weight and whole in each process."""
    if not is_sharded(weight):
        return all_rows
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(all_rows, weight.device_mesh, weight.placements, src_data_rank=None).to_local()


def local_rows(weight: Tensor, all_rows: Tensor) -> Tensor:
    """The rows of this process, from all rows of a weight or of a tensor with as many."""
    if not is_sharded(weight):
        return all_rows
    each = -(-len(weight) // world_size())  # as `torch.chunk` cuts
    return all_rows[rank() * each : (rank() + 1) * each]


def place_like(weight: Tensor, state: Tensor) -> Tensor:
    """Move an optimizer state to its weight's device, sharded like the weight if their first dimensions agree."""
    if not is_sharded(weight) or state.shape[:1] != weight.shape[:1]:
        return state.to(weight.device, copy=True)  # not a view of the file
    mine = local_rows(weight, state).to(weight.device, copy=True)
    return _sharded_as(weight, mine, state.shape, state.stride())


def _sharded_as(weight: "DTensor", rows: Tensor, shape: torch.Size, stride: tuple[int, ...]) -> Tensor:
    """A tensor sharded like the weight, from the rows of each process."""
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(rows, weight.device_mesh, weight.placements, shape=shape, stride=stride)


class Replica:
    """A model in training in this process: `model` on its device, and `loss`, a function of a batch's tensors.

    `backward` leaves the gradients of the mean of the losses over the processes.
    """

    def __init__(self, model: LanguageModel, parallel: str, device: torch.device, compiles: bool) -> None:
        self._given = model
        self.model = model if world_size() == 1 or parallel == "ddp" else copy.deepcopy(model)
        self.model.to(device).train()
        if compiles:
            hardware.prepare_compiler()
            self.model.compile_parts()
        self._ddp: DistributedDataParallel | None = None
        self._fsdp: FSDPModule | None = None
        if world_size() > 1 and parallel == "fsdp":
            self._fsdp = _shard(self.model, device)
        elif world_size() > 1:
            self._ddp = DistributedDataParallel(_Loss(self.model), gradient_as_bucket_view=True)
        self.loss: Loss = self._ddp or self.model.loss

    def set_gradient_sync(self, enabled: bool) -> None:
        """Whether the next `backward` syncs its gradients, or accumulates them for the next micro-batch."""
        if self._ddp is not None:
            self._ddp.require_backward_grad_sync = enabled
        elif self._fsdp is not None:
            self._fsdp.set_requires_gradient_sync(enabled)

    @contextmanager
    def evaluating(self) -> Iterator[LanguageModel]:
        """Context manager: the model in evaluation mode."""
        self.model.eval()
        # Other lengths and batches than those of training would each be compiled again.
        plainly = torch.compiler.set_stance("force_eager") if self.model.compiled else nullcontext()
        with torch.no_grad(), plainly:
            yield self.model
        self.model.train()
        if self._fsdp is not None:
            self._fsdp.reshard()  # which stays gathered after a forward pass without a backward pass

    def finish(self) -> None:
        """Copy all trained weights into the model that was given, on the CPU of every process."""
        self.model.leave_uncompiled()
        for given, trained in zip(self._given.parameters(), self.model.parameters(), strict=True):
            if given is not trained:
                given.data.copy_(full_tensor(trained.detach()))
        self._given.to("cpu").eval()


class _Loss(nn.Module):
    """A module around the loss, as DDP sees only the forward pass of a module."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor | None, z_loss: float) -> Tensor:
        return self.model.loss(*tensors, z_loss=z_loss)  # type: ignore[arg-type]


def _shard(model: LanguageModel, device: torch.device) -> "FSDPModule":
    """Shard the rows of each weight over the processes; those of a block are gathered while it computes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(device.type, (world_size(),))
    for block in model.blocks():
        fully_shard(block, mesh=mesh)
    root: FSDPModule = fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)  # and divide afterwards: gloo has no mean
    register_fsdp_forward_method(model, "loss")
    return root
