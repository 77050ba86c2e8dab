"""A version in memory: its model, the engine that generates with it, and how many requests it is answering."""

import asyncio
import functools
import math
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self, TypeVar

import torch

from components.api.constraints import Grammars
from components.api.settings import Serve
from components.core.errors import BadData
from components.registry.store import Version
from components.serving import answering
from components.serving.answering import AnswerWriter, Labeller
from components.serving.engine import Drawn, Engine, Finished, Generation
from components.tasks.prompts import TrainedTasks

Result = TypeVar("Result")

SMOKE_PROMPT = "Hello"
SMOKE_TOKENS = 4
SMOKE_SECONDS = 60.0


@dataclass(eq=False)
class Loaded:
    """A version that can answer."""

    version: Version
    model: AnswerWriter | Labeller
    engine: Engine | None  # of a model that generates
    card: str  # the model card, Markdown
    running: int = 0  # requests
    computing: asyncio.Lock = field(default_factory=asyncio.Lock)  # of what is computed beside the engine
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def fingerprint(self) -> str:
        """What an answer names as its origin: the version, and the beginning of its digest."""
        return f"{self.version.name}-{self.version.number}-{self.version.digest[:12]}"

    @property
    def headers(self) -> dict[str, str]:
        """The same as headers of an answer."""
        return {
            "x-lmforge-version": f"{self.version.name}/{self.version.number}",
            "x-lmforge-digest": self.version.digest,
        }

    @property
    def trained(self) -> TrainedTasks:
        """The tasks that it was trained."""
        return self.model.trained

    @contextmanager
    def answering(self) -> Iterator[Self]:
        """Count a request as being answered; `close` waits for it."""
        self.running += 1
        try:
            yield self
        finally:
            self.running -= 1
            if not self.running:
                self._idle.set()

    @functools.cached_property
    def grammars(self) -> Grammars:
        """What constrains its answers; made at the first need, as it takes a moment."""
        assert isinstance(self.model, AnswerWriter)
        return Grammars(self.model.tokenizer, self.model.model.config.vocab_size, self.model.end)

    async def compute(self, work: Callable[[], Result]) -> Result:
        """Do what the engine does not do, in a thread and one after the other."""
        async with self.computing:
            return await asyncio.to_thread(work)

    async def close(self) -> None:
        """Let the requests under way end, then give back threads and memory."""
        while self.running:
            self._idle.clear()
            await self._idle.wait()
        if self.engine is not None:
            await asyncio.to_thread(self.engine.close)


def load(version: Version, package: Path, settings: Serve) -> Loaded:
    """Load a version from its package folder, and try it.

    Raises `StageError` when it cannot be loaded, or fails the smoke test.
    """
    model = answering.load(package)
    card = (package / "README.md").read_text(encoding="utf-8")
    if isinstance(model, Labeller):
        _try_labeller(model)
        return Loaded(version, model, None, card)
    engine = Engine(
        model.model,
        slots=settings.max_concurrent,
        chunk=settings.prompt_chunk,
        kept=settings.kept_prefix_tokens,
        start=model.tokenizer.end_of_text,
    ).__enter__()  # `Loaded.close` ends it
    try:
        _try_engine(model, engine)
    except BaseException:
        engine.close()
        raise
    return Loaded(version, model, engine, card)


def _try_engine(model: AnswerWriter, engine: Engine) -> None:
    """Raise `BadData` unless the model generates, with probabilities that are numbers."""
    events: queue.SimpleQueue[Drawn | Finished] = queue.SimpleQueue()
    prompt = model.prompt(
        [{"role": "user", "content": SMOKE_PROMPT}], replace(model.defaults, max_new_tokens=SMOKE_TOKENS)
    )
    sampling = model.sampling(model.defaults)
    engine.submit(Generation(tuple(prompt), SMOKE_TOKENS, frozenset(), sampling, seed=0, logprobs=0), events.put)
    while True:
        try:
            event = events.get(timeout=SMOKE_SECONDS)
        except queue.Empty:
            raise BadData(f"it wrote no token within {SMOKE_SECONDS:g} s") from None
        if isinstance(event, Finished):
            if event.error is not None:
                raise BadData(f"it cannot write: {event.error}")
            return
        if event.logprob is None or not math.isfinite(event.logprob):
            raise BadData("its probabilities are no numbers")


@torch.inference_mode()
def _try_labeller(model: Labeller) -> None:
    """Raise `BadData` unless the model labels, with logits that are numbers."""
    ids = model.prompt([{"role": "user", "content": SMOKE_PROMPT}])
    if not model.model.logits(torch.tensor([ids])).isfinite().all():
        raise BadData("its logits are no numbers")
