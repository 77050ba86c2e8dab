"""Examples of several tasks as packed rows, mixed in given shares, with a loss on the answers only."""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from components.core.errors import BadData
from components.core.files import STATE
from components.model.config import Architecture
from components.model.labelling import ANSWER, ENTITIES, FIRST, FOLLOWING, OUTSIDE
from components.model.transformer import IGNORED, PADDING_SEGMENT
from components.tasks import Task, entities
from components.tasks.prompts import answer, fit, fitted, learned
from components.tokenizer.tokenizer import Tokenizer
from components.training.data import windows
from components.training.data.batches import Batch
from components.training.data.batches import Rows as AnyRows
from components.training.data.data_order import Reading, Taken

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Segment:
    """One example as a model reads it: tokens, the target at each of them, and the source of an encoder-decoder."""

    tokens: list[int]
    targets: list[int]
    source: list[int] = field(default_factory=list)
    example: Mapping[str, str] = field(default_factory=dict)  # what it was made from: its id, source and task


Layout = Callable[[Task, Mapping[str, str], str], Segment | None]
"""Maps task, inputs and target to a segment; None when the model cannot learn from the example."""

KEPT = 64  # rows that are cached
BEGINNING = 16  # characters by which a text is found in its prompt
OPEN = 8  # rows that are filled in parallel: half the padding of filling one after the other


@dataclass(frozen=True)
class AsText:
    """The answer follows the prompt, or an encoder-decoder generates it after reading the prompt.

    A decoder learns the earlier answers of a conversation too; an encoder-decoder only reads them.
    """

    tokenizer: Tokenizer
    max_prompt_tokens: int
    max_answer_tokens: int  # a longer one is cut, and its end is not learned
    reads_first: bool  # the prompt goes to an encoder

    def __call__(self, task: Task, inputs: Mapping[str, str], target: str) -> Segment:
        reply = answer(target, self.tokenizer)[: self.max_answer_tokens]
        prompt = fitted(task, inputs, self.tokenizer, self.max_prompt_tokens)
        if self.reads_first:
            return Segment([self.tokenizer.end_of_text, *reply[:-1]], reply, prompt.ids)
        before = zip(prompt.ids, learned(task, prompt, self.tokenizer), strict=True)
        targets = [token if is_learned else IGNORED for token, is_learned in before]
        return Segment([*prompt.ids, *reply[:-1]], [*targets[1:], *reply])


@dataclass(frozen=True)
class AsLabels:
    """An encoder labels the tokens of the prompt: the last one for a classification, otherwise those of the answer."""

    tokenizer: Tokenizer
    max_prompt_tokens: int
    labels: Sequence[str]
    byte_lengths: np.ndarray  # of each id

    def __call__(self, task: Task, inputs: Mapping[str, str], target: str) -> Segment | None:
        prompt = fit(task, inputs, self.tokenizer, self.max_prompt_tokens)
        if task.labels:
            return Segment(prompt, [IGNORED] * (len(prompt) - 1) + [self.labels.index(target)])
        if task.kind == "spans":
            return Segment(prompt, self._tagged(prompt, inputs[task.long_field], target))
        found = self._places(prompt, target, 0)
        if found is None:  # the prompt was cut before the answer
            return None
        outside, marked = self.labels.index(OUTSIDE), self.labels.index(ANSWER)
        return Segment(prompt, [*np.where(found[0], marked, outside)[:-1].tolist(), marked])

    def _tagged(self, prompt: Sequence[int], text: str, target: str) -> list[int]:
        """The label of each token: the tags of the entities in their order, as far as the prompt was not cut before."""
        tags = [OUTSIDE] * (len(prompt) - 1) + [ENTITIES]
        after = max(0, self.tokenizer.decode_bytes(prompt).find(self._surface(text[:BEGINNING]).strip()))
        for label, surface, _ in entities.read(target):
            if (found := self._places(prompt, surface, after)) is not None:
                inside, after = found
                for number, place in enumerate(np.flatnonzero(inside[:-1])):
                    tags[place] = (FOLLOWING if number else FIRST) + label
        return [self.labels.index(tag) for tag in tags]

    def _places(self, prompt: Sequence[int], text: str, after: int) -> tuple[np.ndarray, int] | None:
        """Which tokens have the first occurrence of a text from a byte on, and the byte behind it."""
        ends, read = self.byte_lengths[prompt].cumsum(), self.tokenizer.decode_bytes(prompt)
        for wanted in (surface := self._surface(text), surface.strip()):  # some tokenizers set a space before a text
            if wanted and (start := read.find(wanted, after)) >= 0:
                return (ends > start) & (ends - self.byte_lengths[prompt] < start + len(wanted)), start + len(wanted)
        return None

    def _surface(self, text: str) -> bytes:
        """The bytes of a text as its tokens have them: a tokenizer may change its case."""
        return self.tokenizer.decode_bytes(self.tokenizer.encode(text))


def layout(
    architecture: Architecture,
    labels: Sequence[str],
    tokenizer: Tokenizer,
    max_prompt_tokens: int,
    max_answer_tokens: int,
) -> Layout:
    """How a model of an architecture reads examples; an encoder with these labels."""
    if architecture == "encoder":
        return AsLabels(tokenizer, max_prompt_tokens, labels, tokenizer.byte_lengths())
    return AsText(tokenizer, max_prompt_tokens, max_answer_tokens, reads_first=architecture == "encoder_decoder")


@dataclass(frozen=True)
class Shape:
    """The size of packed rows, in tokens; the source is what an encoder-decoder reads."""

    length: int
    source_length: int
    padding: int


class PackedRows:
    """An endless sequence of packed rows of a mixture, shuffled again in each epoch; rows are made on demand.

    They are made one after the other and the last few are cached, so that memory stays constant. Earlier ones are made
    again from the first row on. `without` are the ids of examples that are left out.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Mapping[str, Task],
        shares: Mapping[str, float],
        layout: Layout,
        shape: Shape,
        seed: int,
        without: Set[str] = frozenset(),
    ) -> None:
        self._begin = partial(_endless, load(folder, shares, without), tasks, shares, layout, shape, seed)
        self._shape = shape
        self._start()

    def __call__(self, places: np.ndarray) -> Batch:
        """The rows at the given places."""
        return Batch.cat([pack_row(self._row(place), self._shape) for place in places.tolist()])

    def examples(self, places: np.ndarray) -> Iterator[tuple[Mapping[str, str], int]]:
        """The examples in the rows at the given places, each with its tokens."""
        for place in places.tolist():
            for piece in self._row(place):
                yield piece.example, len(piece.tokens) + len(piece.source)

    def _row(self, place: int) -> list[Segment]:
        if place < self._made - len(self._kept):
            self._start()
        while self._made <= place:
            self._kept.append(next(self._more))
            self._made += 1
        return self._kept[place - self._made]

    def _start(self) -> None:
        self._more, self._made = self._begin(), 0
        self._kept: deque[list[Segment]] = deque(maxlen=KEPT)


class Alternating:
    """Rows of several kinds with their shares: all rows of a step are of one kind.

    Mixed in one step, the kind with many targets in a row would outweigh the one with few.
    """

    def __init__(self, kinds: Sequence[tuple[float, AnyRows]], batch_size: int, *, by_turns: bool = False) -> None:
        self._kinds, self._batch_size, self._by_turns = kinds, batch_size, by_turns

    def __call__(self, places: np.ndarray) -> Batch:
        """The rows at the given places, all of one step."""
        rows, own = self.at(places)
        return rows(own)

    def at(self, places: np.ndarray) -> tuple[AnyRows, np.ndarray]:
        """The kind of the rows at the places of one step, and the places among the rows of that kind.

        Rows of examples are numbered without the steps of other kinds, so that none is made unnecessarily. Rows of
        documents are computed for each place alone and keep their places, from which the lineage computes what a step
        read; `by_turns` numbers them like examples, so that each epoch reads every row once.
        docs/decisions.md, "Rows of examples are numbered by turns, those of documents by slots"
        """
        shares = [share for share, _ in self._kinds]
        slot = int(places[0]) // self._batch_size
        rows = self._kinds[windows.kind(slot, shares)][1]
        if not (self._by_turns or isinstance(rows, PackedRows)):
            return rows, places
        return rows, places - (slot - windows.turn(slot, shares)) * self._batch_size


def taken(rows: AnyRows, reading: Reading) -> Iterator[Taken]:
    """The examples that a training run read from its rows, step by step; the rows are made again for it."""
    for step in reading.steps_on("examples"):
        places = reading.places(step)
        some, own = rows.at(places) if isinstance(rows, Alternating) else (rows, places)
        assert isinstance(some, PackedRows), "examples come from rows of a mixture"
        for example, tokens in some.examples(own):
            yield Taken(step, example["id"], example["source"], example["task"], tokens)


def load(folder: Path, tasks: Mapping[str, float], without: Set[str] = frozenset()) -> dict[str, "datasets.Dataset"]:
    """The examples of each task in the Parquet files of a folder, but for those with the ids `without`.

    Raises `BadData` when a task has none.
    """
    import datasets  # half a second, which pretraining on documents alone does not spend

    files = sorted(map(str, folder.glob("*.parquet")))
    datasets.disable_progress_bars()
    table = datasets.Dataset.from_parquet(files, cache_dir=str(STATE / "datasets"), keep_in_memory=False)
    parts = {task: table.filter(lambda name, task=task: name == task, input_columns="task") for task in tasks}
    if without:
        parts = {task: part.filter(lambda row: row not in without, input_columns="id") for task, part in parts.items()}
    for task, part in parts.items():
        if not len(part):
            raise BadData(f"{folder} holds no example of the task `{task}`: add a source, or take it out of tasks")
    return parts


def mix(parts: Mapping[str, "datasets.Dataset"], shares: Mapping[str, float], seed: int) -> "datasets.Dataset":
    """One dataset that samples each task by its share; the smaller ones are repeated."""
    import datasets

    total = sum(shares.values())
    return datasets.interleave_datasets(
        [parts[task].shuffle(seed=seed) for task in shares],
        probabilities=[share / total for share in shares.values()],
        seed=seed,
        stopping_strategy="all_exhausted",
    )


def pack(pieces: Iterator[Segment], shape: Shape) -> Iterator[list[Segment]]:
    """Pack segments into rows, each into the first open row that has room for it; of too many the oldest is closed.

    docs/decisions.md, "Short prompts, more topics, closer rows"
    """
    rows: deque[list[Segment]] = deque()
    for piece in pieces:
        row = next((row for row in rows if _fits([*row, piece], shape)), None)
        if row is not None:
            row.append(piece)
            continue
        if len(rows) == OPEN:
            yield rows.popleft()
        rows.append([piece])
    yield from rows


def pack_row(pieces: Sequence[Segment], shape: Shape) -> Batch:
    """A batch of one row with the given parts, each a segment of its own."""
    tokens, segments = _side([piece.tokens for piece in pieces], shape.length, shape.padding)
    targets, _ = _side([piece.targets for piece in pieces], shape.length, IGNORED)
    if not pieces[0].source:
        return Batch(tokens, targets, segments)
    source, source_segments = _side([piece.source for piece in pieces], shape.source_length, shape.padding)
    return Batch(tokens, targets, segments, source, source_segments)


def _endless(
    parts: Mapping[str, "datasets.Dataset"],
    tasks: Mapping[str, Task],
    shares: Mapping[str, float],
    layout: Layout,
    shape: Shape,
    seed: int,
) -> Iterator[list[Segment]]:
    """Rows of one epoch after the other. Raises `BadData` when the model can learn from no example."""
    for epoch in itertools.count(seed):
        pieces = (_piece(row, tasks[row["task"]], layout) for row in mix(parts, shares, epoch))
        rows = pack((piece for piece in pieces if piece is not None), shape)
        first = next(rows, None)
        if first is None:
            raise BadData(
                f"no prompt of the tasks {', '.join(shares)} holds its answer, word for word: raise max_prompt_tokens, "
                "as prompts may be cut before it, or write the answers as the texts have them"
            )
        yield first
        yield from rows


def _piece(row: Mapping[str, str], task: Task, layout: Layout) -> Segment | None:
    piece = layout(task, json.loads(row["inputs"]), row["target"])
    return piece and replace(piece, example={name: row[name] for name in ("id", "source", "task")})


def _fits(row: Sequence[Segment], shape: Shape) -> bool:
    return (
        sum(len(piece.tokens) for piece in row) <= shape.length
        and sum(len(piece.source) for piece in row) <= shape.source_length
    )


def _side(parts: Sequence[Sequence[int]], length: int, pad_value: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Parts concatenated and padded, [1, length], and the number of its part for each place."""
    ids = np.concatenate(parts)
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    rest = (0, length - len(ids))
    filled = np.pad(ids, rest, constant_values=pad_value), np.pad(numbers, rest, constant_values=PADDING_SEGMENT)
    return torch.from_numpy(filled[0])[None], torch.from_numpy(filled[1])[None]
