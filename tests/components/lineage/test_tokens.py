"""Documents and windows find each other, for every objective and on every shard."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core import id_index
from components.core.errors import BadSettings
from components.lineage.tokens import TokenIndex
from components.lineage.trainings import ReadRow, RecordedTraining
from components.stages.encode import INDEX
from components.training import run
from components.training.data import mixture, source_mix
from components.training.data.batches import Batch, Rows, of_documents, of_sources
from components.training.data.data_order import Taken
from components.training.data.windows import Windows, order
from components.training.settings import LastPhase, Mixture

END = 0
BACK = {"step": 4, "back_to": 2, "passed_over": 4}


def identity(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def write(folder: Path, shards: Sequence[Sequence[int]], identity: Callable[[int], str] = identity) -> TokenIndex:
    """What `encode` would leave of documents with so many tokens; each token is the number of its document."""
    entries, number = [], 1
    with pq.ParquetWriter(folder / "index.parquet", INDEX) as writer:
        for place, lengths in enumerate(shards):
            split, name = ("test" if place == 1 else "train"), f"{place}.bin"
            numbers = list(range(number, number + len(lengths)))
            offsets = np.cumsum([0, *(length + 1 for length in lengths)])
            rows = [
                (identity(n), split, f"source {place % 3}", "en", name, int(offset), length, 9)
                for n, offset, length in zip(numbers, offsets, lengths, strict=False)
            ]
            if rows:
                writer.write_table(
                    pa.Table.from_pylist([dict(zip(INDEX.names, row, strict=True)) for row in rows], INDEX),
                    row_group_size=2,
                )
            tokens = [token for n, length in zip(numbers, lengths, strict=True) for token in [*[n] * length, END]]
            np.array(tokens, np.uint16).tofile(folder / name)
            sizes = {"documents": len(lengths), "tokens": len(tokens)}
            entries.append({"file": name, "split": split, "source": f"source {place % 3}", **sizes})
            number += len(lengths)
    id_index.write(folder / "lookup.npy", [identity(n) for n in range(1, number)], np.arange(number - 1))
    (folder / "manifest.json").write_text(json.dumps({"bytes_per_token": 2, "shards": entries}))
    return TokenIndex(folder.joinpath)


def training(tokens: TokenIndex, *, length: int = 5, reach: int = 6, steps: int = 7) -> RecordedTraining:
    reading = {
        "seed": 3,
        "steps": steps,
        "batch_size": 2,
        "length": length,
        "reach": reach,
        "skipped_steps": [],
        "shares": [["documents", 1.0]],
        "rollbacks": [BACK],
    }
    return RecordedTraining("pretrain", {"stage_key": "ab", "reading": reading}, tokens, Path)


def whole(windows: np.ndarray, places: np.ndarray, seed: int) -> Batch:  # noqa: ARG001 (an objective's)
    """All tokens of a window."""
    return Batch(torch.from_numpy(windows), torch.from_numpy(windows))


def read(folder: Path, length: int, reach: int, steps: int) -> list[list[int]]:
    """What each step reads, done as the training does it: the numbers of the documents, token by token."""
    windows = Windows.of_split(folder, "train", length)
    slots = [0, 1, *range(4, steps + 2)][:steps]
    places = [np.arange(slot * 2, slot * 2 + 2) for slot in slots]
    taken = [windows.take(order(place, len(windows), 3))[:, :reach] for place in places]
    return [[token for token in batch.ravel().tolist() if token != END] for batch in taken]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.integers(0, 14), max_size=6), min_size=3, max_size=4), st.booleans(), st.integers(4, 8))
def test_documents_and_steps_find_each_other(
    tmp_path: Path, shards: list[list[int]], causal: bool, length: int
) -> None:
    shards[0].append(20)  # at least one window
    reach = length + causal
    found = training(write(tmp_path, shards), length=length, reach=reach)
    steps = read(tmp_path, length, reach, 7)
    for step, tokens in enumerate(steps, 1):
        counted = {identity(n): tokens.count(n) for n in tokens}
        assert {row.id: row.tokens for row in found.seen(step)} == counted
    for number in range(1, sum(map(len, shards)) + 1):
        expected = [step for step, tokens in enumerate(steps, 1) if number in tokens]
        assert found.steps_with_document(identity(number)) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.integers(0, 14), max_size=6), min_size=4, max_size=5), st.floats(0, 0.9))
def test_new_and_old_documents_are_read_in_their_shares_and_found_again(
    tmp_path: Path, shards: list[list[int]], replay: float
) -> None:
    """Shards by turns old and new, read as the training reads them."""
    for shard in (shards[0], shards[3]):
        shard.append(20)  # at least one window of each
    write(tmp_path, shards)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for number, shard in enumerate(manifest["shards"]):
        shard["new"] = number % 2 == 1
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    wanted = {"new documents": 1 - replay, "old documents": replay}
    kinds = [(share, of_documents(tmp_path, "train", whole, 5, 3, table)) for table, share in wanted.items()]
    check(tmp_path, shards, mixture.Alternating(kinds, 2, by_turns=True), {"shares": list(wanted.items())})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.integers(0, 14), max_size=6), min_size=4, max_size=6), st.floats(0, 3), st.floats(0.2, 0.8))
def test_a_mixture_of_sources_is_read_as_planned_and_found_again(
    tmp_path: Path, shards: list[list[int]], weight: float, last: float
) -> None:
    """In two phases, the last one on a single source, with rows that a rollback passed over."""
    for shard in (shards[0], shards[2]):
        shard.append(20)
    write(tmp_path, shards)
    sources = Windows.of_sources(tmp_path, "train", 5)
    mix = Mixture(
        weights={"source 0": weight},
        epochs={},
        language_temperature=1.0,
        last_phase=LastPhase(share=last, weights={"source 2": 1.0}),
    )
    sizes = {name: len(windows) for name, windows in sources.items()}
    phases = source_mix.plan(mix, sizes, {}, 18)
    facts = {"shares": [["documents", 1.0]], "phases": [asdict(phase) for phase in phases]}
    check(tmp_path, shards, of_sources(sources, phases, whole, 3), facts)


def check(folder: Path, shards: list[list[int]], rows: Rows, facts: dict[str, object]) -> None:
    """Nine steps on some rows, with a rollback: what each read is found by step and by document."""
    order = {"seed": 3, "steps": 9, "batch_size": 2, "length": 5, "reach": 6, "rollbacks": [BACK], "skipped_steps": []}
    reading = {"stage_key": "ab", "reading": order | facts}
    found = RecordedTraining("pretrain", reading, TokenIndex(folder.joinpath), Path)
    slots = [0, 1, *range(4, 11)]
    read = [rows(np.arange(slot * 2, slot * 2 + 2)).tokens_BT.flatten().tolist() for slot in slots]
    for step, tokens in enumerate(read, 1):
        assert {row.id: row.tokens for row in found.seen(step)} == {identity(n): tokens.count(n) for n in tokens if n}
    for number in range(1, sum(map(len, shards)) + 1):
        expected = [step for step, tokens in enumerate(read, 1) if number in tokens]
        assert found.steps_with_document(identity(number)) == expected


def test_a_beginning_of_the_id_will_do(tmp_path: Path) -> None:
    index = write(tmp_path, [[9, 9], [4], [9]])
    (document,) = index.find(identity(3)[:8])
    assert (document.id, document.split, document.offset, document.length) == (identity(3), "test", 0, 4)
    assert index.find(identity(9)) == []
    assert index.find(identity(3)[:20] + identity(9)[:9]) == []


def test_a_divided_document_is_found_by_its_own_id_and_each_part_by_its(tmp_path: Path) -> None:
    def named(number: int) -> str:
        """The documents 2 and 3 are parts of one."""
        return id_index.part(identity(7), number - 1) if number in (2, 3) else identity(number)

    found = training(write(tmp_path, [[9, 30, 30, 9], [4]], named))
    for own in (identity(7), identity(7)[:12], identity(7).upper()):
        assert [part.id for part in found.document(own)] == [named(2), named(3)]
    assert [part.id for part in found.document(named(3))] == [named(3)]
    both, *one = (found.steps_with_document(name) for name in (identity(7), named(2), named(3)))
    assert both == sorted({step for steps in one for step in steps})
    assert len(both) > max(map(len, one))


def test_a_step_that_never_was_is_told(tmp_path: Path) -> None:
    found = training(write(tmp_path, [[30], [4]]))
    assert found.seen(7) == [ReadRow(identity(1), "documents", "source 0", 12)]
    with pytest.raises(BadSettings, match="pretrain has the steps 1 to 7: there is no step 8"):
        found.seen(8)


def test_examples_and_steps_find_each_other(tmp_path: Path) -> None:
    reading = {
        "seed": 1,
        "steps": 9,
        "batch_size": 2,
        "length": 8,
        "reach": 9,
        "rollbacks": [],
        "skipped_steps": [],
        "shares": [["examples", 0.75], ["documents", 0.25]],
    }
    found = RecordedTraining(
        "finetune@assistant", {"stage_key": "ab", "reading": reading}, write(tmp_path, [[30], [4]]), tmp_path.joinpath
    )
    steps = list(found.reading.steps_on("examples"))
    taken = [Taken(step, identity(step % 3 + n), "films", "topic", 10 + n) for step in steps for n in range(2)]
    run.save_examples(taken, tmp_path)
    for step in steps:
        expected = [ReadRow(row.example, "examples", "films", row.tokens) for row in taken if row.step == step]
        assert found.seen(step) == expected
    for example in {row.example for row in taken}:
        assert found.steps_with_example(example) == [row.step for row in taken if row.example == example]
    assert {row.table for step in {*range(1, 10)} - {*steps} for row in found.seen(step)} == {"documents"}
    assert found.steps_with_document(identity(1)) == sorted({*range(1, 10)} - {*steps})
