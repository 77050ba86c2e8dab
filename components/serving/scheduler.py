"""The requests that share the steps of a model: prefill in chunks, decoding in one batch.

Names end with shapes: B rows, V tokens of the vocabulary.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from components.model.sampling import RowSampling
from components.model.slots import PromptPart, Rows
from components.serving.messages import Deliver, Drawn, Finished, Generation

logger = logging.getLogger(__name__)

SHARE = 32  # tokens of a prompt that are read at a time, at least: fewer take hardly less time


@dataclass(eq=False)
class Ticket:
    """A request under way."""

    generation: Generation
    deliver: Deliver
    cancelled: bool = False
    answer: list[int] = field(default_factory=list)
    read: int = 0  # tokens of the prompt
    uniforms: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        # As `generate` draws them: docs/decisions.md, "A draw follows from the seed and the prompt"
        generation = self.generation
        seed = [generation.seed, *generation.prompt]
        greedy, count = generation.sampling.greedy, generation.max_new_tokens
        self.uniforms = np.zeros(count) if greedy else np.random.default_rng(seed).random(count)

    def cancel(self) -> None:
        """Free its slot before the next step; the end is delivered with the reason `cancelled`."""
        self.cancelled = True

    @property
    def unread(self) -> int:
        """Tokens of the prompt that are still to be read."""
        return len(self.generation.prompt) - self.read

    @property
    def length(self) -> int:
        """Tokens that the model has read for it."""
        return self.read + max(0, len(self.answer) - 1)

    def send(self, drawn: Drawn | Finished) -> None:
        """Deliver; a receiver that fails gets nothing more."""
        try:
            self.deliver(drawn)
        except Exception:  # of any kind: the others go on
            logger.exception("an answer could not be delivered")
            self.cancelled = True


class Scheduler:
    """The requests in the slots of a model."""

    def __init__(self, rows: Rows, chunk: int, device: torch.device) -> None:
        self._rows, self._chunk, self._device = rows, chunk, device
        self._slots: list[Ticket | None] = [None] * rows.capacity
        self._drawing: tuple[list[Ticket], RowSampling, Tensor | None] = ([], RowSampling([], device), None)
        self.generated = self.read = self.reused = self.prefix_hits = 0

    @property
    def tickets(self) -> list[Ticket]:
        """All that are under way."""
        return [ticket for ticket in self._slots if ticket is not None]

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self.tickets)

    @property
    def has_room(self) -> bool:
        """Whether another can join."""
        return None in self._slots

    def add(self, ticket: Ticket) -> None:
        """Let a request join, in the first slot that is free."""
        self._slots[self._slots.index(None)] = ticket

    def fail(self, error: str) -> None:
        """End all that are under way."""
        for ticket in self.tickets:
            self._end(ticket, Finished("error", error))

    def step(self) -> None:
        """Read a chunk of the prompts, and add a token to each answer whose prompt has been read."""
        for ticket in self.tickets:
            if ticket.cancelled:
                self._end(ticket, Finished("cancelled"))
        self._close_gaps()
        answers = [*self._decode(), *self._prefill()]
        if answers:
            tickets, logits = zip(*answers, strict=True)
            self._draw(list(tickets), torch.cat(logits))

    def _end(self, ticket: Ticket, end: Finished) -> None:
        slot = self._slots.index(ticket)
        if ticket.answer and end.reason != "error":
            self._rows.keep(slot, [*ticket.generation.prompt, *ticket.answer[:-1]])  # the last was not read
        self._slots[slot] = None
        ticket.send(end)

    def _close_gaps(self) -> None:
        """Move the last texts into free slots in front of them, as a step computes all slots up to the last one."""
        for last in range(len(self._slots) - 1, 0, -1):
            ticket = self._slots[last]
            if ticket is not None and (first := self._slots.index(None) if self.has_room else last) < last:
                self._rows.move(last, first, ticket.length)
                self._slots[first], self._slots[last] = ticket, None

    def _decode(self) -> list[tuple[Ticket, Tensor]]:
        """The answers that have begun, and the logits [1, V] of their next tokens."""
        decoding = [(slot, ticket) for slot, ticket in enumerate(self._slots) if ticket is not None and ticket.answer]
        if not decoding:
            return []
        # Slots whose prompt is still being read take part, at a place that is written again when it is read.
        slots = self._slots[: decoding[-1][0] + 1]
        tokens = [ticket.answer[-1] if ticket and ticket.answer else 0 for ticket in slots]
        logits_BV = self._rows.advance(tokens, [ticket.length if ticket else 0 for ticket in slots])
        return [(ticket, logits_BV[slot : slot + 1]) for slot, ticket in decoding]

    def _prefill(self) -> list[tuple[Ticket, Tensor]]:
        """The answers whose prompts end in the tokens that are read now, and the logits [1, V] after these."""
        prefilled = []
        for parts in _by_length(self._prompt_parts()):
            logits_BV = self._rows.read(parts)
            for row, part in enumerate(parts):
                ticket = self._slots[part.slot]
                assert ticket is not None
                ticket.read += len(part.tokens)
                self.read += len(part.tokens)
                if not ticket.unread:
                    self._rows.keep(part.slot, ticket.generation.prompt)
                    prefilled.append((ticket, logits_BV[row : row + 1]))
        return prefilled

    def _prompt_parts(self) -> list[PromptPart]:
        """A chunk of the prompts that are not read to their end.

        Those of whom least was read come first, so that a long prompt does not keep short ones waiting.
        """
        unread = sorted((ticket for ticket in self.tickets if ticket.unread), key=lambda ticket: ticket.read)
        left, parts = self._chunk, []
        share = max(SHARE, left // max(1, len(unread)))
        for ticket in unread:
            if left <= 0:
                break
            slot, asked = self._slots.index(ticket), ticket.generation
            if not ticket.read:
                ticket.read = self._rows.reuse(slot, asked.prompt)
                self.reused += ticket.read
                self.prefix_hits += ticket.read > 0
            count = ticket.unread if self._rows.whole else min(ticket.unread, share, left)
            tokens = asked.prompt[ticket.read : ticket.read + count]
            parts.append(PromptPart(slot, tokens, ticket.read, asked.max_new_tokens))
            left -= count
        return parts

    def _draw(self, tickets: list[Ticket], logits_BV: Tensor) -> None:
        logprobs = self._logprobs(tickets, logits_BV)
        tickets, logits_BV = self._constrained(tickets, logits_BV)
        if not tickets:
            return
        draws, counts_BV = self._sampling(tickets, logits_BV.shape[1])
        uniforms_B = torch.tensor([ticket.uniforms[len(ticket.answer)] for ticket in tickets], dtype=torch.float64)
        tokens_B = draws.draw(logits_BV, counts_BV, uniforms_B.to(self._device))
        if counts_BV is not None:
            counts_BV.scatter_add_(1, tokens_B[:, None], torch.ones_like(counts_BV[:, :1]))
        for ticket, token in zip(tickets, tokens_B.tolist(), strict=True):
            self._append(ticket, token, logprobs.get(ticket))

    def _append(self, ticket: Ticket, token: int, logprobs_V: Tensor | None) -> None:
        if token in ticket.generation.stop_tokens:
            self._end(ticket, Finished("stop"))
            return
        ticket.answer.append(token)
        self.generated += 1
        ticket.send(_drawn(token, logprobs_V, ticket.generation.logprobs or 0))
        if len(ticket.answer) == ticket.generation.max_new_tokens:
            self._end(ticket, Finished("length"))

    def _logprobs(self, tickets: Sequence[Ticket], logits_BV: Tensor) -> dict[Ticket, Tensor]:
        """The log-probabilities [V] for those that asked for some."""
        rows = [row for row, ticket in enumerate(tickets) if ticket.generation.logprobs is not None]
        return {tickets[row]: logits_BV[row].float().log_softmax(-1) for row in rows}

    def _constrained(self, tickets: list[Ticket], logits_BV: Tensor) -> tuple[list[Ticket], Tensor]:
        """Those that go on, and their logits, without the tokens that a constraint forbids."""
        failed = []
        for row, ticket in enumerate(tickets):
            if ticket.generation.allowed is None:
                continue
            error = None
            try:
                allowed_V = ticket.generation.allowed(ticket.answer)
                if allowed_V is not None:
                    logits_BV[row].masked_fill_(~allowed_V.to(self._device), -torch.inf)
                    error = None if allowed_V.any() else "no token may follow"
            except Exception as raised:  # of any kind: the others go on
                error = f"{type(raised).__name__}: {raised}"
            if error is not None:
                self._end(ticket, Finished("error", f"constraint: {error}"))
                failed.append(row)
        if not failed:
            return tickets, logits_BV
        kept = [row for row in range(len(tickets)) if row not in failed]
        return [tickets[row] for row in kept], logits_BV[kept]

    def _sampling(self, tickets: list[Ticket], vocabulary: int) -> tuple[RowSampling, Tensor | None]:
        """How these are sampled, and how often each has said each token, [B, V]; kept until others join or leave."""
        if self._drawing[0] != tickets:
            draws = RowSampling([ticket.generation.sampling for ticket in tickets], self._device)
            counts_BV = None
            if draws.counts:
                counts = [np.bincount(np.array(ticket.answer, dtype=int), minlength=vocabulary) for ticket in tickets]
                counts_BV = torch.from_numpy(np.stack(counts)).float().to(self._device)
            self._drawing = (tickets, draws, counts_BV)
        return self._drawing[1:]


def _by_length(parts: Sequence[PromptPart]) -> Iterator[list[PromptPart]]:
    """Parts in groups that are read together; the longest of each has at most twice the tokens of the others."""
    left = sorted(parts, key=lambda part: len(part.tokens))
    while left:
        group = [part for part in left if 2 * len(part.tokens) >= len(left[-1].tokens)]
        left = left[: -len(group)]
        yield group


def _drawn(token: int, logprobs_V: Tensor | None, alternatives: int) -> Drawn:
    if logprobs_V is None:
        return Drawn(token, None, ())
    best = logprobs_V.topk(alternatives)
    return Drawn(token, float(logprobs_V[token]), tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)))
