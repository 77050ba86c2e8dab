"""One command at a time on ledger and registry, and either all of it or nothing.

An entry of the ledger states the intended aliases and tags. It is written first, then applied, and then the registry
records it as the `Head` that it knows. So whatever a crash leaves undone is in the ledger after the head, and the next
command finishes it. In between there is always a champion: `store.move` keeps to an order.
docs/decisions.md, "The ledger is written first"
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from components.core.errors import TryAgain
from components.registry import ledger, store
from components.registry.ledger import Entry, Fault, Head, Kind, Ledger
from components.registry.store import CHALLENGER, CHAMPION, PREVIOUS

Aliases = Mapping[str, int | None]
"""The version of each of the three aliases."""


@dataclass(frozen=True)
class LedgerCheck:
    """The result of a check of the ledger: its `faults`, and an entry that is not yet applied."""

    entries: int
    faults: list[Fault]
    unfinished: Entry | None


@contextmanager
def begin(name: str, unmoved: bool = False) -> Iterator[Ledger]:
    """The ledger and the aliases for this command alone, after anything that an interrupted one left is repaired.

    Commands wait for each other. With `unmoved` this one raises `TryAgain` when the champion was moved meanwhile.
    docs/decisions.md, "Two at once: the second is told, not queued"
    """
    seen = present(name)[CHAMPION]
    with ledger.opened(name) as book:
        champion = present(name)[CHAMPION]
        if unmoved and champion != seen:
            raise TryAgain(
                f"another command made version {champion} the champion of {name} at the same moment, so this one "
                "changed nothing: see `lmforge ledger`, then decide again"
            )
        _settle(book)
        yield book


def write(
    book: Ledger,
    kind: Kind,
    details: Mapping[str, Any],
    aliases: Aliases | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write an entry, and apply it: `aliases` of the model, `tags` of the version.

    Raises `TryAgain` when the registry cannot be written now.
    """
    targets = {**({"aliases": aliases} if aliases else {}), **({"tags": tags} if tags else {})}
    entry = book.append(kind, {**details, **targets})
    from mlflow.exceptions import MlflowException

    try:
        _carry_out(entry)
    except MlflowException as error:
        raise TryAgain(
            f"the registry cannot be written ({' '.join(str(error).split())}): entry {entry.sequence} stands in the "
            "ledger, and the next command carries it out"
        ) from error


def present(name: str) -> Aliases:
    """The version of each of the three aliases."""
    aliases = store.aliases(name)
    return {alias: aliases.get(alias) for alias in (CHAMPION, PREVIOUS, CHALLENGER)}


def examine(names: Collection[str]) -> LedgerCheck:
    """Check the ledger against its own chain and against what the registry knows of its models, and of these."""
    with ledger.at_rest():
        entries = ledger.read()
        models = sorted({*names, *(entry.model for entry in entries)})
        known = {name: (store.head(name), present(name)) for name in models}
        faults = ledger.verify({name: head for name, (head, _) in known.items() if head})
    behind: list[Entry] = []
    for name, (head, aliases) in known.items():
        mine = [entry for entry in entries if entry.model == name]
        faults += _faults(mine, head, aliases)
        behind += _behind(mine, head)
    return LedgerCheck(len(entries), faults, behind[0] if behind else None)


def _faults(mine: list[Entry], head: Head | None, aliases: Aliases) -> Iterator[Fault]:
    """What the entries of a model, and what the registry has of it, say against each other."""
    yield from (Fault(entry.sequence, entry.details["reason"]) for entry in mine if "missing" in entry.details)
    stated = _stated(mine)
    if stated and not _behind(mine, head) and stated != aliases:
        yield Fault(mine[-1].sequence, f"the last one says {_words(stated)}, but the registry has {_words(aliases)}")


def _carry_out(entry: Entry) -> None:
    """Apply an entry to the registry; applying it again changes nothing."""
    if "aliases" in entry.details:
        store.move(entry.model, entry.details["aliases"])
    if "tags" in entry.details:
        store.note(store.find(entry.model, str(entry.details["version"])), entry.details["tags"])
    store.set_head(entry.model, Head(entry.sequence, entry.hash))


def _settle(book: Ledger) -> None:
    """Repair ledger and registry after a crash, or after an alias was moved by hand, and record that in the ledger."""
    head = store.head(book.model)
    _finish(_behind(book.entries, head), book)
    if head and not any((entry.sequence, entry.hash) == (head.sequence, head.hash) for entry in book.entries):
        reason = f"entry {head.sequence}, which the registry knows by the hash {head.hash}, is missing"
        write(book, "repair", {"reason": reason, "missing": str(head)})
    stated, aliases = _stated(book.entries), present(book.model)
    if stated is None and any(aliases.values()):
        write(book, "start", {"reason": f"the ledger begins here, with {_words(aliases)}"}, aliases)
    elif stated is not None and stated != aliases:
        reason = f"the registry has {_words(aliases)}, moved by something else than lmforge from {_words(stated)}"
        write(book, "repair", {"reason": reason}, aliases)


def _finish(behind: list[Entry], book: Ledger) -> None:
    """Apply what an interrupted command had written.

    That is one move of the aliases at most, to versions that exist. Otherwise the registry was restored from an older
    copy, and is trusted.
    """
    moves = [entry.details["aliases"] for entry in behind if "aliases" in entry.details]
    numbers = {number for aliases in moves for number in aliases.values() if number}
    if len(moves) > 1 or not all(store.exists(book.model, number) for number in numbers):
        return
    for entry in behind:
        _carry_out(entry)
    for entry in behind:
        if entry.kind != "repair":
            reason = f"entry {entry.sequence} ({entry.kind}) had been interrupted, and was finished"
            write(book, "repair", {"reason": reason})


def _behind(entries: list[Entry], head: Head | None) -> list[Entry]:
    """The entries that the registry does not know yet."""
    return [entry for entry in entries if entry.sequence > (head.sequence if head else 0)]


def _stated(entries: list[Entry]) -> Aliases | None:
    """The aliases after the last entry that states them."""
    return next((entry.details["aliases"] for entry in reversed(entries) if "aliases" in entry.details), None)


def _words(aliases: Mapping[str, int | None]) -> str:
    return ", ".join(f"@{alias} {number}" for alias, number in aliases.items() if number) or "no alias"
