"""What a model folder consists of: weights of its own, or an adapter that names its base by folder and digest."""

from pathlib import Path

from safetensors import safe_open

from components.core.errors import BadData
from components.core.files import read_json, sha256

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER = "adapter_model.safetensors"
MERGED = "adapter"
"""The folder beside merged weights with the adapter that is in them."""
BASE_DIGEST = "base_sha256"
"""The entry of the adapter's safetensors header that pins the weights of its base."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter in place of a model."""
    return (folder / ADAPTER_CONFIG).exists()


def named_base(folder: Path) -> Path:
    """The folder that an adapter names as its base: inside its own, as in a package, or else from the current one."""
    name = read_json(folder / ADAPTER_CONFIG)["base_model_name_or_path"]
    return folder / name if (folder / name).is_dir() else Path(name)


def base(folder: Path) -> Path:
    """The folder of an adapter's base. Raises `BadData` when it is gone, or has other weights than those it was."""
    found = named_base(folder)
    if not (found / "config.json").exists():
        raise BadData(f"{folder} holds an adapter of the model in {found}, which is gone: put it back")
    with safe_open(folder / ADAPTER, "np") as file:
        pinned = (file.metadata() or {}).get(BASE_DIGEST)
    if pinned is None:
        raise BadData(f"{folder / ADAPTER} does not say which weights it adapts: its header lacks {BASE_DIGEST}")
    if (digest := weights_digest(found)) != pinned:
        raise BadData(f"{folder} holds an adapter of weights with the sha256 {pinned}, but {found} has {digest}")
    return found


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights of a model: of an adapter its own, then those of its base."""
    own = sorted(folder.glob("*.safetensors"))
    return [*own, *weight_files(named_base(folder))] if is_adapter(folder) else own


def weights_digest(folder: Path) -> str:
    """The sha256 of the weights of a model, the contents of its files one after the other."""
    return sha256(*weight_files(folder))
