"""Which version answers: the champions, as the registry's aliases say, and others that requests ask for by name.

The aliases are read again every second or so: MLflow tells nobody when they move. While a new champion is loaded and
tried, the old one goes on answering; it is closed when the last of its answers has ended.
docs/decisions.md, "The server looks at the aliases"
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from components.api import loaded
from components.api.challenger import AGAIN_AFTER, Challenger
from components.api.errors import ApiError, unavailable
from components.api.loaded import Loaded
from components.api.settings import Serve
from components.core.errors import BadSettings
from components.core.recipe import model_name, of_model
from components.registry import store
from components.registry.store import CHALLENGER, CHAMPION, Version

log = logging.getLogger("lmforge.api")

NUMBER = re.compile(r"[0-9]{1,9}")  # of a version


@dataclass(frozen=True)
class Failure:
    """A version that could not take the champion's place."""

    number: int
    reason: str
    at: float  # seconds since the epoch


class RecipeVersions:
    """The versions of one recipe: the champion that answers, and those beside it."""

    def __init__(self, name: str, settings: Serve) -> None:
        self.name = name
        self.champion: Loaded | None = None
        self.failure: Failure | None = None
        self.aliases: Mapping[str, int] = {}
        self.versions: dict[int, Version] = {}  # those that an alias points to
        self.challenger = Challenger(model_name(name), settings)
        self._settings = settings
        self._others: dict[int, Loaded] = {}  # the one asked for last at the end
        self._loading = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """Read the aliases, and let the champion take its place. Raises whatever the registry raises."""
        aliases = await asyncio.to_thread(store.aliases, model_name(self.name))
        for new in set(aliases.values()) - self.versions.keys():
            self.versions[new] = await asyncio.to_thread(store.find, model_name(self.name), str(new))
        self.aliases = aliases
        number = self.aliases.get(CHAMPION)
        if number is None or (self.champion and self.champion.version.number == number):
            self.failure = None
        elif not self._failed_lately(number):
            await self._promote(number)
        if self.champion is not None:
            await self.challenger.follow(self.aliases.get(CHALLENGER), self.champion.version.number, self.get)

    async def get(self, ref: str) -> Loaded:
        """The version with this alias or number, loaded if it is not. Raises `ApiError`."""
        if ref == CHAMPION:
            if self.champion is None:
                raise unavailable(
                    self.failure.reason if self.failure else f"{self.name} has no champion yet", "no_model"
                )
            return self.champion
        number = int(ref) if NUMBER.fullmatch(ref) else self.aliases.get(ref)
        if number is None:
            raise unknown(f"{self.name}@{ref}")
        if self.champion and self.champion.version.number == number:
            return self.champion
        async with self._loading:
            if number not in self._others:
                self._keep(number, await self._load(number))
            self._others[number] = self._others.pop(number)
            return self._others[number]

    async def close(self) -> None:
        """Let all answers end, then close all versions."""
        for one in (*self._others.values(), *([self.champion] if self.champion else [])):
            self._retire(one)
        self._others, self.champion = {}, None
        await asyncio.gather(*self._closing)

    def state(self) -> dict[str, Any]:
        """What answers, and what could not take over."""
        champion = self.champion
        return {
            "version": champion and champion.version.number,
            "digest": champion and champion.version.digest,
            "aliases": dict(self.aliases),
            "challenger": self.challenger.state(),
            "failure": self.failure and {"version": self.failure.number, "reason": self.failure.reason},
        }

    async def _promote(self, number: int) -> None:
        try:
            new = self._others.pop(number, None) or await self._load(number)
        except ApiError as error:
            log.error("%s version %d does not take over: %s", self.name, number, error)
            self.failure = Failure(number, str(error), time.monotonic())
            return
        old, self.champion, self.failure = self.champion, new, None
        log.info("%s version %d answers", self.name, number)
        if old is not None:
            self._keep(old.version.number, old)

    async def _load(self, number: int) -> Loaded:
        return await asyncio.to_thread(_fetch, model_name(self.name), number, self._settings)

    def _keep(self, number: int, one: Loaded) -> None:
        """Keep a version beside the champion, as one may go back to it; of too many the oldest is closed.

        The challenger that is asked something stays.
        """
        self._others[number] = one
        free = [other for other, kept in self._others.items() if kept is not self.challenger.version]
        for other in free[: max(0, len(free) - self._settings.kept_versions)]:
            self._retire(self._others.pop(other))

    def _retire(self, one: Loaded) -> None:
        task = asyncio.create_task(one.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _failed_lately(self, number: int) -> bool:
        found = self.failure
        return found is not None and found.number == number and time.monotonic() < found.at + AGAIN_AFTER


class Live:
    """The recipes that a server answers for."""

    def __init__(self, recipes: Sequence[str], settings: Serve) -> None:
        self.recipes = {name: RecipeVersions(name, settings) for name in recipes}
        self.registry: str | None = None  # what is wrong with it

    async def look(self) -> None:
        """Follow the aliases of all recipes once; what goes wrong is shown, and ends nothing."""
        try:
            for recipe in self.recipes.values():
                await recipe.look()
            self.registry = None
        except Exception as error:  # a locked database, a server that is away: the old versions go on answering
            self.registry = " ".join(str(error).split()) or type(error).__name__
            log.warning("the registry does not answer: %s", self.registry)

    @property
    def champions(self) -> dict[str, Loaded]:
        """The champion of each recipe that has one."""
        return {name: recipe.champion for name, recipe in self.recipes.items() if recipe.champion}

    def state(self) -> dict[str, Any]:
        """What `/ready` and `lmforge status` show."""
        models = {name: recipe.state() for name, recipe in self.recipes.items()}
        return {"ready": bool(self.champions), "registry": self.registry, "models": models}

    async def follow(self, seconds: float) -> None:
        """Look at the aliases again and again."""
        while True:
            await self.look()
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def version(self, model: str) -> AsyncIterator[Loaded]:
        """The version that a request names: RECIPE, RECIPE@ALIAS or RECIPE@NUMBER. Raises `ApiError`."""
        name, _, ref = model.partition("@")
        recipe = self.recipes.get(of_model(name))
        if recipe is None:
            raise unknown(model)
        with (await recipe.get(ref or CHAMPION)).answering() as one:
            yield one

    def challenger(self, model: str) -> Challenger | None:
        """The challenger beside the version that a request names, if that is a champion by its recipe alone."""
        recipe = self.recipes.get(of_model(model))
        return recipe.challenger if recipe else None

    async def close(self) -> None:
        """Let all answers end, then close all versions."""
        await asyncio.gather(*(recipe.close() for recipe in self.recipes.values()))


def unknown(model: str) -> ApiError:
    """The refusal of a model that there is not."""
    message = f"the model {model[:80]!a} does not exist: /v1/models lists those that do"
    return ApiError(404, message, code="model_not_found", param="model")


def _fetch(name: str, number: int, settings: Serve) -> Loaded:
    """Load a version of the registry. Raises `ApiError`, and whatever the registry raises when it does not answer."""
    try:
        version = store.find(name, str(number))
    except BadSettings:
        raise unknown(f"{of_model(name)}@{number}") from None
    try:
        return loaded.load(version, store.fetch(name, str(number)), settings)
    except Exception as error:  # a folder can be damaged in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise unavailable(f"version {number} cannot be loaded: {reason}", "version_failed") from error
