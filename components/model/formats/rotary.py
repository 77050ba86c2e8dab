"""Rotary positions in `config.json`: `rope_parameters`, or the older `rope_theta` beside `rope_scaling`."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from components.model import rope
from components.model.formats.form import Unknown
from components.model.rope import Linear, Llama3, LongRope, RopeScaling, Yarn

KEYS: dict[str, Any] = {"rope_theta": None, "rope_scaling": None, "rope_parameters": None}
"""The keys with their defaults."""

_KINDS: dict[str, type[RopeScaling]] = {"linear": Linear, "llama3": Llama3, "yarn": Yarn, "longrope": LongRope}
_OF_WINDOW = "original_max_position_embeddings"


@dataclass(frozen=True)
class Rotary:
    """How a model or one kind of its layers rotates."""

    theta: float
    scaling: RopeScaling | None
    share: float  # of the dimensions of a head


def read(raw: Mapping[str, Any], default_theta: float) -> Rotary:
    """The rotary positions of a model. Raises `Unknown` for those that are not supported."""
    old, new = raw["rope_scaling"], raw["rope_parameters"]
    if old and new and old != new:
        raise Unknown(f"rope_scaling = {old!r} beside rope_parameters = {new!r}")
    theta = default_theta if raw["rope_theta"] is None else raw["rope_theta"]
    return parse(old or new or {}, theta, raw["max_position_embeddings"])


def parse(given: Mapping[str, Any], theta: float, window: int) -> Rotary:
    """The content of `rope_parameters` or `rope_scaling`; `window` is what `max_position_embeddings` says."""
    values = dict(given)
    old, kind = values.pop("type", None), values.pop("rope_type", None)
    if old and kind and old != kind:
        raise Unknown(f"rope_type = {kind!r} beside type = {old!r}")
    theta = values.pop("rope_theta", theta)
    share = values.pop("partial_rotary_factor", 1.0)
    scaling = _scaling(kind or old or "default", values, window)
    for name, value in (("rope_theta", theta), ("partial_rotary_factor", share)):
        _check_number(name, value)
    return Rotary(float(theta), scaling, share)


def _scaling(kind: str, values: dict[str, Any], window: int) -> RopeScaling | None:
    made = _KINDS.get(kind)
    if made is None and kind != "default":
        raise Unknown(f"rope_type = {kind!r}")
    known = {field.name: field.default for field in fields(made)} if made else {}
    for name in values.keys() - known.keys():
        raise Unknown(f"{name} = {values[name]!r} in rotary positions of the type {kind!r}")
    if made is None:
        return None
    if _OF_WINDOW in known:
        values.setdefault(_OF_WINDOW, window)
    if made is LongRope and values.get("factor") is None:
        values["factor"] = window / values[_OF_WINDOW]
    for name, default in known.items():
        if name not in values and default is MISSING:
            raise Unknown(f"rotary positions of the type {kind!r} without {name}")
        if name in values and not (values[name] is None and default is None):
            _check(name, values[name])
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return made(**given)


def _check(name: str, value: object) -> None:
    if name == "truncate" and isinstance(value, bool):
        return
    if name in ("short_factor", "long_factor") and isinstance(value, list):
        for each in value:
            _check_number(name, each)
        return
    _check_number(name, value)


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise Unknown(f"{name} = {value!r}")


def write(theta: float, scaling: RopeScaling | None) -> dict[str, object]:
    """The keys of `config.json`, in the older form, which all versions of `transformers` read."""
    if scaling is None:
        return {"rope_theta": theta}
    (kind,) = (name for name, made in _KINDS.items() if isinstance(scaling, made))
    values = {name: value for name, value in asdict(scaling).items() if value is not None}
    lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
    return {"rope_theta": theta, "rope_scaling": {"rope_type": kind, **values, **lists}}


def rotated(rotary: Rotary, head_dim: int) -> int | None:
    """The number of dimensions of a head that are rotated, None for all. Raises `Unknown` for what cannot be."""
    count = int(head_dim * rotary.share)
    if count % 2 or not 0 < count <= head_dim:
        raise Unknown(f"{count} rotated dimensions of a head of {head_dim}")
    frequencies = [rotary.theta ** -(number / count) for number in range(0, count, 2)]
    try:
        if rotary.scaling is not None:
            rope.scaled(rotary.scaling, frequencies, rotary.theta)
            rope.attention_factor(rotary.scaling)
    except (ArithmeticError, ValueError):
        raise Unknown(f"rotary positions {rotary.scaling!r}") from None
    return None if count == head_dim else count
