"""Checkpoints that survive a kill at any moment: written beside, checked, flushed, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from components.stage import log

CHECKPOINTS = Path(".checkpoints")
CODE = (Path("components/model"), Path("components/training"))
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """Where training stands: steps done, the rows logged so far, and every tensor."""

    step: int
    history: dict[str, Any]
    tensors: dict[str, Tensor]


def key(settings: Any, inputs: Sequence[Path]) -> str:
    """The digest of settings (a dataclass) and of files, and of the Parquet files and modules in folders.

    A stage continues from the checkpoints of its own key, and starts afresh when anything changed.
    """
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for path in inputs:
        files = [path] if path.is_file() else sorted([*path.glob("*.py"), *path.glob("*.parquet")])
        for file in files:
            digest.update(f"{file}:{_sha256(file)}".encode())
    return digest.hexdigest()


def capture(step: int, history: dict[str, Any], model: nn.Module, optimizers: Sequence[Optimizer]) -> Checkpoint:
    """All that the next step depends on."""
    tensors: dict[str, Tensor] = {f"model.{name}": value for name, value in model.named_parameters()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{index}.{name}": value for name, value in state.items()}
    tensors["rng"] = torch.get_rng_state()
    return Checkpoint(step, history, {name: value.detach().cpu() for name, value in tensors.items()})


def restore(checkpoint: Checkpoint, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Put model, optimizers and random numbers back to where the checkpoint was taken."""
    for name, weight in model.named_parameters():
        weight.data.copy_(checkpoint.tensors[f"model.{name}"])
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        prefix = f"optimizer.{number}."
        for name, value in checkpoint.tensors.items():
            if name.startswith(prefix):
                index, _, key = name.removeprefix(prefix).partition(".")
                state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    torch.set_rng_state(checkpoint.tensors["rng"])


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write `folder/step-NNNNNNNN`; the newest ones are kept."""
    target = folder / f"step-{checkpoint.step:08d}"
    part = folder / f".part-{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(checkpoint.tensors, part / "state.safetensors")
    state = {"step": checkpoint.step, "history": checkpoint.history, "sha256": _sha256(part / "state.safetensors")}
    (part / "state.json").write_text(json.dumps(state))
    for path in (*part.iterdir(), part):
        _flush(path)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    _flush(folder)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)


def newest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint; a damaged one is passed over with a warning."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError) as error:
            log.warning("passing over the damaged checkpoint %s: %s", path, error)
    return None


def _read(path: Path) -> Checkpoint:
    state = json.loads((path / "state.json").read_text())
    if _sha256(path / "state.safetensors") != state["sha256"]:
        raise ValueError("its checksum differs")
    return Checkpoint(state["step"], state["history"], load_file(path / "state.safetensors"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
