"""The section `retraining` of `params.yaml`."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, MinLen

from components.core.files import STATE

FOLDER = STATE / "retraining"
"""The history that the policy uses; all worktrees share it."""


@dataclass(frozen=True, kw_only=True)
class Notify:
    """How to notify of failures, of promotions, and of models that wait for approval; None is not at all."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    command: Annotated[tuple[str, ...], MinLen(1)] | None  # a program and its arguments; the message is one more
    webhook: str | None  # an address that takes a POST of JSON


@dataclass(frozen=True, kw_only=True)
class SourceRule:
    """What the files of a source have to be when a run begins; a limit that is unset is not judged."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    source: Annotated[str, MinLen(1)]
    severity: Literal["block", "warn"]
    max_age_days: Annotated[float, Gt(0)] | None = None  # of its newest file
    max_drift: Annotated[float, Gt(0)] | None = None  # population stability index, against the champion's data


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """The section `retraining` of `params.yaml`."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    cron: str | None
    watch_minutes: Annotated[float, Gt(0)]  # between two checks of the files of the sources
    min_new_tokens: Annotated[int, Ge(0)]
    max_drift: Annotated[float, Gt(0)]  # population stability index
    cooldown_minutes: Annotated[float, Ge(0)]  # from the end of a training run to the next
    budget_minutes: Annotated[float, Gt(0)]  # of CPU or, added up, of accelerators, in any seven days
    overlap: Literal["queue", "drop"]
    veto_minutes: Annotated[float, Ge(0)]  # from the gate's decision to the promotion
    notify: Notify
