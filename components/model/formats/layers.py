"""The kinds of layers in `config.json`: which see a window alone, and which have no positions."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.model.formats.form import Unknown

SLIDING, FULL = "sliding_attention", "full_attention"


def sliding(raw: Mapping[str, Any], default: Sequence[bool]) -> tuple[int, ...]:
    """The layers that see only `sliding_window` tokens, by `layer_types` or else by default.

    Raises `Unknown` for other kinds of layers, and for such layers without a window.
    """
    types = raw["layer_types"]
    if types is None:
        types = [SLIDING if slides else FULL for slides in default]
    if len(types) != raw["num_hidden_layers"] or not {SLIDING, FULL}.issuperset(types):
        raise Unknown(f"layer_types = {types!r}")
    window = raw["sliding_window"]
    layers = tuple(layer for layer, kind in enumerate(types) if kind == SLIDING)
    if layers and (type(window) is not int or window < 1):
        raise Unknown(f"sliding_window = {window!r} with layer_types = {types!r}")
    return layers


def types(layers: Sequence[int], count: int) -> list[str]:
    """The content of `layer_types`."""
    return [SLIDING if layer in layers else FULL for layer in range(count)]
