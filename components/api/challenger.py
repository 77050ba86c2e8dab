"""The version of `@challenger` beside a champion: asked in the shadow, or for a share of the answers (canary)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from components.api.errors import ApiError
from components.api.loaded import Loaded
from components.api.settings import Serve
from components.registry import canary
from components.traffic.comparison import ShadowComparison
from components.traffic.evidence import Trial, TrialTurn

log = logging.getLogger("lmforge.api")

AGAIN_AFTER = 30.0  # seconds before a version that failed to load is tried once more


class Challenger:
    """The challenger of one recipe, and what is known of it since it was loaded."""

    def __init__(self, model: str, settings: Serve) -> None:
        self.version: Loaded | None = None
        self.comparison = ShadowComparison()
        self.trial: Trial | None = None
        self.problem: str | None = None  # why it is asked nothing, or answers nothing
        self._model, self._settings = model, settings
        self._pair: tuple[int, int] | None = None  # the numbers of challenger and champion
        self._noted = False  # in the ledger, that it was taken back
        self._failed_at = float("-inf")

    async def follow(self, number: int | None, champion: int, load: Callable[[str], Awaitable[Loaded]]) -> None:
        """Look whether the alias points to another version, and note in the ledger what has become of this one.

        Raises whatever the registry raises.
        """
        if self._settings.shadow is None and self._settings.canary is None:
            return
        pair = None if number is None or number == champion else (number, champion)
        if pair != self._pair:
            self.version, self.trial, self.problem = None, None, None
            self.comparison, self._pair, self._failed_at = ShadowComparison(), pair, float("-inf")
        if pair is None:
            return
        if self.trial is not None and self.trial.reason is not None and not self._noted:
            await self._take_back(pair[0], self.trial.reason)
        if self.version is None and time.monotonic() > self._failed_at + AGAIN_AFTER:
            await self._load(pair[0], load)
        if self.version is not None and self.trial is None and self.problem is None:
            await self._begin(pair[0], self._settings.canary)

    def turn(self) -> TrialTurn | None:
        """Who answers the next request, while there is a canary."""
        if self.trial is None or self.trial.reason is not None or self.version is None:
            return None
        return self.trial.turn()

    def state(self) -> dict[str, Any] | None:
        """What `/ready`, `/metrics` and `lmforge status` show; None when there is no challenger, or nothing asked."""
        if self._pair is None:
            return None
        trial = self.trial
        counts = trial and {"answered": trial.answered, "failed": trial.failed, "share": trial.share}
        return {
            "version": self._pair[0],
            "problem": self.problem,
            "canary": counts and {**counts, "taken_back": trial and trial.reason},
            "shadow": self.comparison.state() if self._settings.shadow else None,
        }

    async def _load(self, number: int, load: Callable[[str], Awaitable[Loaded]]) -> None:
        try:
            self.version, self.problem = await load(str(number)), None
        except ApiError as error:
            self.problem, self._failed_at = str(error), time.monotonic()
            log.error("the challenger of %s is asked nothing: %s", self._model, error)

    async def _begin(self, number: int, share: float | None) -> None:
        """Let it answer a share of the requests, unless that was tried before."""
        if share is None:
            return
        self.problem = await asyncio.to_thread(canary.refusal, self._model, number)
        if self.problem is None:
            await asyncio.to_thread(canary.begin, self._model, number, share)
            self.trial, self._noted = Trial(share), False

    async def _take_back(self, number: int, reason: str) -> None:
        """Say so in the ledger; where that cannot be written now, the next look tries again."""
        if self.problem is None:
            self.problem = f"version {number} was taken back: {reason}"
            log.error("%s %s", self._model, self.problem)
        await asyncio.to_thread(canary.take_back, self._model, number, reason)
        self._noted = True
