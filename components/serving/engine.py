"""Continuous batching: requests join the batch of a model, and leave it, between two of its steps.

A step reads a part of the prompts that wait for it, then adds a token to each answer under way. An answer depends on
its prompt and its seed, and not on what else runs.
docs/decisions.md, "Requests join and leave between two steps"
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import torch

from components.core.errors import BadData
from components.model.interface import LanguageModel
from components.model.sampling import Sampling
from components.model.slots import rows
from components.serving.messages import Allowed, Deliver, Drawn, Finished, Generation
from components.serving.scheduler import Scheduler, Ticket

__all__ = ["Allowed", "Deliver", "Drawn", "Engine", "Figures", "Finished", "Generation", "Sampling", "Ticket"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """What the engine does, and has done since its start."""

    running: int
    waiting: int
    generated: int  # tokens of answers
    read: int  # tokens of prompts
    reused: int  # tokens of prompts that had been read before
    prefix_hits: int  # prompts that began with some


class Engine:
    """A model that answers requests, in a thread of its own; a context manager.

    slots: answers under way at a time. chunk: tokens of prompts that are read in a step, the most that answers wait for
    between two of their tokens. kept: tokens of prompts whose keys and values are kept for others that begin alike.
    start: the first token of the decoder of an encoder-decoder.
    """

    def __init__(self, model: LanguageModel, *, slots: int, chunk: int, kept: int, start: int | None = None) -> None:
        self._config = model.config
        self._scheduler = Scheduler(rows(model, slots, kept, start), chunk, model.device)
        self._waiting: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def submit(self, generation: Generation, deliver: Deliver) -> Ticket:
        """Put a request at the end of the queue. Raises `BadData` for what does not fit the model."""
        self._check(generation)
        ticket = Ticket(generation, deliver)
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def _check(self, generation: Generation) -> None:
        prompt, answer = len(generation.prompt), generation.max_new_tokens
        window, size = self._config.max_sequence_length, self._config.vocab_size
        if not prompt or answer < 1:
            raise BadData("a request needs a prompt of one token or more, and one new token or more")
        shares = self._config.architecture == "decoder"
        if (prompt + answer if shares else max(prompt, answer)) > window:
            raise BadData(f"the prompt has {prompt} tokens and the answer up to {answer}: the window has {window}")
        ids = {*generation.prompt, *generation.sampling.logit_bias}
        if min(ids) < 0 or max(ids) >= size:
            raise BadData(
                f"prompt and logit_bias have ids from {min(ids)} to {max(ids)}: those of the model end before {size}"
            )

    def figures(self) -> Figures:
        """What it does now, and has done."""
        work = self._scheduler
        return Figures(
            work.running,
            len(self._waiting),
            work.generated,
            work.read,
            work.reused,
            work.prefix_hits,
        )

    def drain(self) -> None:
        """Wait until nothing is under way."""
        with self._changed:
            self._changed.wait_for(self._idle)

    def close(self) -> None:
        """End the thread; what is under way ends as cancelled."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @torch.inference_mode()
    def _work(self) -> None:
        while self._admit():
            try:
                self._scheduler.step()
            except Exception as error:  # of any kind: those who wait have to be told
                logger.exception("a step failed")
                self._scheduler.fail(f"{type(error).__name__}: {error}")
        for ticket in [*self._scheduler.tickets, *self._waiting]:
            ticket.send(Finished("cancelled"))

    def _admit(self) -> bool:
        """Wait for something to do, and let requests join as long as there is room; False: it was closed."""
        with self._changed:
            if self._idle():
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
            gone = [ticket for ticket in self._waiting if ticket.cancelled]
            for ticket in gone:
                self._waiting.remove(ticket)
            while self._waiting and self._scheduler.has_room:
                self._scheduler.add(self._waiting.popleft())
            closed = self._closed
        for ticket in gone:
            ticket.send(Finished("cancelled"))
        return not closed

    def _idle(self) -> bool:
        return not self._waiting and not self._scheduler.running
