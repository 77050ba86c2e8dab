"""The state of the optimizers as a file beside the weights, for a training that goes on from them."""

from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open
from torch import nn
from torch.optim import Optimizer

from components.core.errors import BadSettings
from components.training.engine import checkpoints, distributed
from components.training.engine.checkpoints import OPTIMIZER
from components.training.engine.optimizer import Muon

MOMENTUM = ".momentum_buffer"  # of Muon alone


def save(path: Path, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Write the states of the optimizers, whole; every process has to call it, and rank 0 writes."""
    states = {name: tensor for name, tensor in checkpoints.named_tensors(model, optimizers).items() if _is_state(name)}
    whole = {name: distributed.full_tensor(tensor).cpu() for name, tensor in states.items()}
    if distributed.is_rank0():
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoints.write_safetensors(path, whole)


def load(path: Path, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Set the states of new optimizers to those of a file. Raises `BadSettings` when it is of other optimizers."""
    with safe_open(path, "pt") as file:
        states = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    theirs = {name for name in states if name.endswith(MOMENTUM)}
    names = {weight: name for name, weight in model.named_parameters()}
    muon = (optimizer for optimizer in optimizers if isinstance(optimizer, Muon))
    ours = {f"{OPTIMIZER}{names[w]}{MOMENTUM}" for one in muon for group in one.param_groups for w in group["params"]}
    if theirs != ours:
        raise BadSettings(
            f"{path} is the state of another optimizer: set pretrain.optimization.optimizer to that of the version "
            "that training goes on from"
        )
    checkpoints.place_states(model, optimizers, states)


def _is_state(name: str) -> bool:
    return name.startswith(OPTIMIZER)
