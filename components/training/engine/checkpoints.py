"""Checkpoints that survive a kill at any moment: written to a part folder, checked, synced to disk, then renamed.

`step-NNNNNNNN` holds a safetensors file of each process that has a part of the weights, and `state.json`: the steps
done, the curves, what the run is made from, and the digest of each file. Training continues while they are written.
docs/decisions.md, "Checkpoints are written by a thread"
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from components.core import code
from components.core.errors import BadSettings
from components.core.files import flush, sha256
from components.core.nested import MISSING, differences, flat
from components.core.stage import log
from components.training.engine import distributed

CHECKPOINTS = Path(".checkpoints")
CODE = (Path("components/model"), Path("components/training"))
KEPT = 2
OPTIMIZER = "optimizer."  # before the names of the tensors of optimizers

Manifest = dict[str, Any]
LoopState = dict[str, Any]


def manifest(settings: Any, inputs: Sequence[Path]) -> Manifest:
    """What a run is made from: its settings (a dataclass), and the digests of files.

    Of a folder among the inputs, its Parquet files and all modules below count; of a module its syntax tree, so that a
    comment or a docstring that changes while a run is interrupted does not restart it from the beginning.
    """
    files = [
        file
        for path in inputs
        for file in ([path] if path.is_file() else sorted([*path.rglob("*.py"), *path.glob("*.parquet")]))
    ]
    digests = {str(file): code.of_module(file) if file.suffix == ".py" else sha256(file) for file in files}
    made_from = {"settings": asdict(settings), "files": digests}
    plain: Manifest = json.loads(json.dumps(made_from))  # as it is read back from disk
    return plain


def key(made_from: Manifest) -> str:
    """The digest of a manifest. A stage resumes from checkpoints with its own key; after a change it starts anew.

    docs/decisions.md, "Checkpoints are named by a digest"
    """
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def named_tensors(model: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """All trained weights and optimizer states by name, in the same order whether new or restored; not copies.

    What is frozen is pinned by the digest of its file in the manifest.
    """
    names = {weight: name for name, weight in model.named_parameters() if weight.requires_grad}
    found = {f"model.{name}": weight.detach() for weight, name in names.items()}
    for optimizer in optimizers:
        for weight in _weights(optimizer):
            state: dict[str, Tensor] = optimizer.state.get(weight, {})
            found |= {f"{OPTIMIZER}{names[weight]}.{field}": value for field, value in sorted(state.items())}
    return found


def place_states(model: nn.Module, optimizers: Sequence[Optimizer], states: Mapping[str, Tensor]) -> None:
    """Set fields of the states of optimizers, whole tensors by the names of `named_tensors`."""
    weights = dict(model.named_parameters())
    owners = {weight: optimizer for optimizer in optimizers for weight in _weights(optimizer)}
    for name, state in states.items():
        of, _, field = name.removeprefix(OPTIMIZER).rpartition(".")
        owners[weights[of]].state[weights[of]][field] = distributed.place_like(weights[of], state)


def folder(made_from: Manifest) -> Path:
    """The folder of the checkpoints of a run."""
    return CHECKPOINTS / key(made_from)


class CheckpointWriter:
    """Writes the checkpoints of a run, one at a time, in a thread: training waits only for the copy in memory."""

    def __init__(self, folder: Path, made_from: Manifest) -> None:
        self._folder, self._made_from = folder, made_from
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[None] | None = None
        self._copies: dict[str, Tensor] = {}
        self._group = dist.new_group(backend="gloo") if distributed.world_size() > 1 else None  # of the thread

    def save(self, step: int, state: LoopState, tensors: Mapping[str, Tensor]) -> None:
        """Copy the tensors, and write `step-NNNNNNNN` from the copies. Raises the error of the previous checkpoint."""
        self.wait()
        sharded = any(distributed.is_sharded(tensor) for tensor in tensors.values())
        # Each process writes its part of what is sharded, and rank 0 also what all ranks share.
        mine: dict[str, Tensor] = {name: tensor for name, tensor in tensors.items() if distributed.is_sharded(tensor)}
        if distributed.is_rank0():
            mine = dict(tensors) | _rng_state()
        if mine:
            copies = {name: self._copy(name, distributed.local_shard(tensor)) for name, tensor in mine.items()}
            copied = torch.cuda.current_stream().record_event() if torch.cuda.is_available() else None
            self._writing = self._thread.submit(self._write, step, dict(state), copies, sharded, copied)

    def check(self) -> None:
        """Raise the error of the last checkpoint, such as a full disk, if it is known by now."""
        if self._writing and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk. Raises its error, if any."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        if name not in self._copies:
            self._copies[name] = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
        return self._copies[name].copy_(tensor, non_blocking=True)

    def _write(
        self, step: int, state: LoopState, tensors: dict[str, Tensor], sharded: bool, copied: torch.Event | None
    ) -> None:
        if copied:
            copied.synchronize()
        part = self._folder / f".part-{step:08d}"
        part.mkdir(parents=True, exist_ok=True)
        writers = distributed.world_size() if sharded else 1
        names = [f"{number:05d}-of-{writers:05d}.safetensors" for number in range(writers)]
        digest = write_safetensors(part / names[distributed.rank()], tensors)
        digests = _gather(digest, self._group) if sharded else [digest]
        if distributed.is_rank0():
            files = dict(zip(names, digests, strict=True))
            record = {"step": step, "state": state, "made_from": self._made_from, "files": files}
            _publish(part, record, self._folder / f"step-{step:08d}")


def _rng_state() -> dict[str, Tensor]:
    """The RNG state."""
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write and sync a file (https://github.com/huggingface/safetensors#format); returns its digest.

    The library's own function would hide a full disk behind an error of its own, and need a second pass for the digest.
    """
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        pieces: list[bytes | memoryview] = [len(text).to_bytes(8, "little"), text, *map(_bytes, tensors.values())]
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64", torch.uint8: "U8"}


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().data


def _gather(digest: str, group: "dist.ProcessGroup | None") -> list[str]:
    """The digests of all processes, in the order of their ranks, after all have written."""
    mine = torch.frombuffer(bytearray.fromhex(digest), dtype=torch.uint8)
    all_of_them = [torch.empty_like(mine) for _ in range(distributed.world_size())]
    dist.all_gather(all_of_them, mine, group=group)
    return [bytes(other.tolist()).hex() for other in all_of_them]


def _publish(part: Path, record: Mapping[str, Any], target: Path) -> None:
    """Rename a checkpoint, now that all of it is on disk, and remove older ones and leftovers."""
    (part / "state.json").write_text(json.dumps(record))
    for path in part.iterdir():
        if path.name not in {*record["files"], "state.json"}:
            path.unlink()
    flush(part / "state.json")
    flush(part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    flush(target.parent)
    for old in (*target.parent.glob(".part-*"), *sorted(target.parent.glob("step-*"))[:-KEPT]):
        shutil.rmtree(old)


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk: the state apart from the tensors, and for each tensor the files with its rows."""

    step: int
    state: LoopState
    files: Mapping[str, Sequence[Any]]

    def tensor(self, name: str) -> Tensor:
        """A whole tensor, whatever the number of processes that wrote it."""
        pieces: list[Tensor] = [file.get_tensor(name) for file in self.files[name]]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def restore(self, model: nn.Module, optimizers: Sequence[Optimizer], others: Mapping[str, Tensor]) -> None:
        """Restore weights, optimizers, other tensors and RNG state."""
        weights = dict(model.named_parameters())
        for optimizer in optimizers:
            optimizer.state.clear()
        for name in self.files:
            kind, _, name_in_kind = name.partition(".")
            if kind == "model":
                weight = weights[name_in_kind]
                distributed.local_shard(weight.detach()).copy_(distributed.local_rows(weight, self.tensor(name)))
        states = {name: self.tensor(name) for name in self.files if name.startswith(OPTIMIZER)}
        place_states(model, optimizers, states)
        for name, tensor in others.items():
            tensor.copy_(self.tensor(name))
        torch.set_rng_state(self.tensor("random.cpu"))
        if torch.cuda.is_available() and "random.cuda" in self.files:
            torch.cuda.set_rng_state(self.tensor("random.cuda"))


def _weights(optimizer: Optimizer) -> Iterator[nn.Parameter]:
    return (weight for group in optimizer.param_groups for weight in group["params"])


def newest(folder: Path, made_from: Manifest) -> Checkpoint | None:
    """The newest complete checkpoint; a damaged one is skipped with a warning.

    Raises `BadSettings` when it was made from other settings or files, as its content would not fit.
    """
    step = distributed.broadcast(_newest_step(folder) if distributed.is_rank0() else 0)
    if step < 0:
        return None
    path = folder / f"step-{step:08d}"
    record = json.loads((path / "state.json").read_text())
    _refuse_other(path, record["made_from"], made_from)
    files: dict[str, list[Any]] = {}
    for file in (safe_open(path / name, "pt") for name in record["files"]):
        for name in file.keys():  # type: ignore[no-untyped-call]  # noqa: SIM118 (it is no dict)
            files.setdefault(name, []).append(file)
    return Checkpoint(step, record["state"], files)


def _newest_step(folder: Path) -> int:
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            record = json.loads((path / "state.json").read_text())
            for name, digest in record["files"].items():
                if sha256(path / name) != digest:
                    raise ValueError(f"the checksum of {name} differs")
            return int(record["step"])
        except (OSError, ValueError, KeyError) as error:
            log.warning("passing over the damaged checkpoint %s: %s", path, error)
    return -1


def _refuse_other(path: Path, old: Manifest, new: Manifest) -> None:
    lines = [f"{name}: {_shown(before)} -> {_shown(now)}" for name, before, now in differences(flat(old), flat(new))]
    if lines:
        raise BadSettings(
            f"the checkpoint {path} was made from other settings or data ({'; '.join(lines)}): "
            f"set them back to go on from it, or remove {path.parent} to start afresh"
        )


def _shown(value: object) -> str:
    return "none" if value is MISSING else str(value)
