"""Nested settings: as one level of dotted names, and compared."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

MISSING: Final = object()
"""Stands for a value that one side does not have."""


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level with dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The dotted names whose values differ, with both values, in the order of the old settings; new names come last.

    A section that one side does not have is one difference, with `MISSING` for the side without it.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key, MISSING), new.get(key, MISSING), f"{name}.{key}" if name else str(key))
    elif old != new:
        yield name, old, new
