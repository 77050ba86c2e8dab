"""The chain of the ledger: whatever is done to its lines is found, and the line is named."""

import json
import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import TryAgain
from components.registry import ledger
from components.registry.ledger import Entry, Head

MODELS = ("a", "b")
LENGTH = 8


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of a few entries about two models."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    for number in range(LENGTH):
        with ledger.opened(MODELS[number % 2], path) as book:
            book.append("decision", {"version": number, "reason": "besser, 更好, \n\r\u2028", "figure": 0.1 + number})
    return path


def heads(path: Path) -> dict[str, Head]:
    return {entry.model: Head(entry.sequence, entry.hash) for entry in ledger.read(path)}


def test_what_was_written_is_read(written: Path) -> None:
    entries = ledger.read(written)
    assert [entry.sequence for entry in entries] == list(range(1, LENGTH + 1))
    assert [entry.model for entry in entries[:2]] == ["a", "b"]
    assert entries[3].details == {"version": 3, "reason": "besser, 更好, \n\r\u2028", "figure": 3.1}
    assert [entry.previous for entry in entries] == [ledger.NOTHING, *(entry.hash for entry in entries[:-1])]
    assert ledger.verify(heads(written), written) == []
    with ledger.opened("a", written) as book:
        assert [entry.model for entry in book.entries] == ["a"] * (LENGTH // 2)


def test_a_line_is_canonical(written: Path) -> None:
    for line in written.read_text().splitlines():
        assert line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"))


def test_there_may_be_none(tmp_path: Path) -> None:
    assert ledger.read(tmp_path / "none") == []
    assert ledger.verify({}, tmp_path / "none") == []
    (fault,) = ledger.verify({"a": Head(3, "0" * 64)}, tmp_path / "none")
    assert str(fault) == "line 1: missing: the registry knows entry 3 about a"


Lines = list[bytes]


def change(lines: Lines, data: st.DataObject) -> int:
    """Another byte anywhere in a line, its end excepted: where that is in the file, counted from 1."""
    number = data.draw(st.integers(0, LENGTH - 1), "line")
    place = data.draw(st.integers(0, len(lines[number]) - 2), "place")
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte not in (10, lines[number][place])), "byte")
    lines[number] = lines[number][:place] + bytes([byte]) + lines[number][place + 1 :]
    return number + 1


def drop(lines: Lines, data: st.DataObject) -> int:
    number = data.draw(st.integers(0, LENGTH - 1), "line")
    del lines[number]
    return number + 1


def swap(lines: Lines, data: st.DataObject) -> int:
    first, second = sorted(data.draw(st.lists(st.integers(0, LENGTH - 1), min_size=2, max_size=2, unique=True)))
    lines[first], lines[second] = lines[second], lines[first]
    return first + 1


def duplicate(lines: Lines, data: st.DataObject) -> int:
    number, place = (data.draw(st.integers(0, LENGTH - 1)) for _ in range(2))
    lines.insert(place, lines[number])
    return place + 1 if place != number else number + 2


def cut_off(lines: Lines, data: st.DataObject) -> int:
    kept = data.draw(st.integers(0, LENGTH - 1))
    rest = data.draw(st.integers(0, len(lines[kept]) - 1))
    lines[kept:] = [lines[kept][:rest]]
    return kept + 1


def rewrite(lines: Lines, data: st.DataObject) -> int:
    """Another content with a hash that fits it, and the line before it."""
    number = data.draw(st.integers(0, LENGTH - 1), "line")
    old = Entry.parse(lines[number])
    assert old
    lines[number] = Entry.of(old.sequence, "approval", old.model, {"version": 9}, old.previous).line()
    return number + 1


def rewrite_all_from(lines: Lines, data: st.DataObject) -> int:
    """A line and all behind it, with hashes that fit: only the registry can tell."""
    first = data.draw(st.integers(0, LENGTH - 1), "line")
    before = Entry.parse(lines[first - 1]) if first else None
    link = before.hash if before else ledger.NOTHING
    for number in range(first, LENGTH):
        entry = Entry.of(number + 1, "approval", MODELS[number % 2], {"version": 9}, link)
        lines[number], link = entry.line(), entry.hash
    return max(first, LENGTH - 2) + 1  # the first one of which the registry knows better


@pytest.mark.parametrize("tamper", [change, drop, swap, duplicate, cut_off, rewrite, rewrite_all_from])
@given(data=st.data())
@settings(deadline=None)
def test_tampering_is_found_and_the_line_named(
    written: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tamper: Callable[[Lines, st.DataObject], int],
    data: st.DataObject,
) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    line = tamper(lines, data)
    path = tmp_path_factory.getbasetemp() / "tampered.jsonl"
    path.write_bytes(b"".join(lines))
    faults = ledger.verify(heads(written), path)
    assert faults, "not found"
    assert faults[0].line == line


@given(cut=st.integers(1, 10_000))
@settings(deadline=None)
def test_half_a_line_is_cut_off_and_told(written: Path, tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    content = written.read_bytes()
    last = content.splitlines(keepends=True)[-1]
    rest = last[: cut % (len(last) - 1) + 1]
    path = tmp_path_factory.getbasetemp() / "torn.jsonl"
    path.write_bytes(content.removesuffix(last) + rest)
    with ledger.opened("c", path) as book:
        book.append("decision", {"version": 1})
    entries = ledger.read(path)
    assert [entry.kind for entry in entries[-2:]] == ["repair", "decision"]
    assert entries[-2].details["cut_off"] == rest.decode()
    assert ledger.verify({}, path) == []


def add(path: Path, model: str, times: int) -> None:
    for number in range(times):
        with ledger.opened(model, path) as book:
            book.append("decision", {"version": number})


def test_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add, args=(path, str(name), 20)) for name in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert ledger.verify(heads(path), path) == []
    assert len(ledger.read(path)) == 80
    for name in range(4):
        mine = [entry.details["version"] for entry in ledger.read(path) if entry.model == str(name)]
        assert mine == list(range(20))


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    add(path, "a", 1)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    with ledger.opened("a", path) as book:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        try:
            with pytest.raises(TryAgain, match="the ledger cannot be written: free some space"):
                book.append("decision", {"version": 2})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == before
        book.append("decision", {"version": 3})
    assert ledger.verify(heads(path), path) == []
