"""The champion: the commands that may change it, each recorded in the ledger with who and why."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import BadData, BadSettings, TryAgain
from components.registry import ledger, store, transaction
from components.registry.ledger import Entry, Ledger
from components.registry.store import CHALLENGER, CHAMPION, PREVIOUS, Version

if TYPE_CHECKING:
    from components.registry.decision import Decision

GATE = "the gate"
"""Who promotes when no person does."""

APPROVAL = "approval"
"""The tag of a version that records whether it waits for a person, and that person's answer."""

PENDING = "pending"

_NO = "--anyway promotes it all the same"


def decide(version: Version, decision: "Decision", page: str, against: int | None, key: str) -> None:
    """Record a decision about a version in the ledger, and make the version the challenger.

    `page` is the decision as HTML. The version was compared with the version `against`, the champion at the time, or
    with none. `key` is the digest of everything that the decision depends on; the same decision is not recorded twice.
    """
    with transaction.begin(version.name) as book:
        present = transaction.present(version.name)
        keys = [entry.details["key"] for entry in _decisions(book.entries, version.number)]
        if keys[:1] == [key] and present[CHALLENGER] == version.number:
            return
        _attach(version, decision, page, against)
        details = {
            "version": version.number,
            "against": against,
            "promote": decision.promote,
            "reason": str(decision),
            "key": key,
            "decision": json.loads(decision.to_json()),
        }
        transaction.write(book, "decision", details, {**present, CHALLENGER: version.number}, {"gate": str(decision)})


def decided(version: Version, key: str) -> str | None:
    """The decision about a version that was made from the same inputs, as JSON, if there is one."""
    found = [entry for entry in _decisions(ledger.read(), version.number) if entry.model == version.name]
    return next((json.dumps(entry.details["decision"]) for entry in found if entry.details["key"] == key), None)


def last_decision(version: Version) -> Entry:
    """The last entry with a decision about a version. Raises `BadData` when the gate has not judged it."""
    return _judged([entry for entry in ledger.read() if entry.model == version.name], version.number)


def promote(name: str, number: int, reason: str) -> str:
    """Make a version champion by the gate's decision; returns what was done, in words.

    Raises `TryAgain` when it was compared with another champion than the present one, and `BadData` when the gate
    did not pass it or a person has rejected it.
    """
    with transaction.begin(name) as book:
        _check(book.entries, number, _standing(transaction.present(name), number))
        return _promote(book, number, {"by": GATE, "reason": reason})


def approve(name: str, number: int, by: str, reason: str, anyway: bool = False) -> str:
    """Make a version champion by the approval of the person `by`; returns what was done, in words.

    Raises as `promote` does, unless `anyway`; and `TryAgain` when another command moved the champion at that moment.
    """
    store.find(name, str(number))
    with transaction.begin(name, unmoved=True) as book:
        present = transaction.present(name)[CHAMPION]
        if present == number:
            return f"{name} version {number} is @champion already: nothing to do"
        if not anyway:
            _check(book.entries, number, _standing(transaction.present(name), number))
        said = {"by": by, "reason": reason, "anyway": anyway}
        transaction.write(book, "approval", {"version": number, **said}, tags={APPROVAL: f"approved by {by}"})
        return _promote(book, number, said)


def reject(name: str, number: int, by: str, reason: str) -> str:
    """Record that a person rejects a version, which bars automatic promotion; returns what was done, in words."""
    store.find(name, str(number))
    with transaction.begin(name) as book:
        if transaction.present(name)[CHAMPION] == number:
            raise BadSettings(f"{name} version {number} is @champion: `lmforge rollback` takes it back")
        details = {"version": number, "by": by, "reason": reason}
        transaction.write(book, "rejection", details, tags={APPROVAL: f"rejected by {by}"})
    return f"{name} version {number} is rejected: nothing is promoted"


def rollback(name: str, by: str, reason: str) -> str:
    """Swap champion and previous; returns what was done, in words.

    Raises `BadSettings` when no champion was ever replaced, and `TryAgain` when another command moved the champion at
    that moment.
    """
    with transaction.begin(name, unmoved=True) as book:
        present = transaction.present(name)
        former, number = present[CHAMPION], present[PREVIOUS]
        if number is None:
            raise BadSettings(f"{name} has no @previous: no champion was replaced yet, there is nothing to go back to")
        details = {"version": number, "from": former, "by": by, "reason": reason}
        transaction.write(book, "rollback", details, _with_champion(present, number))
    return f"{name} version {number} is @champion again" + (f", version {former} is @previous" if former else "")


def standing(name: str, number: int) -> int | None:
    """What a version is compared with: the champion, or the one before it if the registry has lost the champion."""
    return _standing(transaction.present(name), number)


def gone(name: str) -> int | None:
    """The last champion according to the ledger, if the registry has no champion any more."""
    if transaction.present(name)[CHAMPION] is not None:
        return None
    stated = (entry.details.get("aliases", {}) for entry in reversed(ledger.read()) if entry.model == name)
    return next((aliases[CHAMPION] for aliases in stated if aliases.get(CHAMPION)), None)


def wait(version: Version, until: str = PENDING) -> None:
    """Record on a version that it waits for a person."""
    store.note(version, {APPROVAL: until})


def refusal(name: str, number: int) -> str | None:
    """Why a version must not be promoted automatically: a person rejected it, or rolled back from it; or None.

    docs/decisions.md, "What a person refused stays refused"
    """
    return _refusal([entry for entry in ledger.read() if entry.model == name], number)


def _attach(version: Version, decision: "Decision", page: str, against: int | None) -> None:
    """Store the decision next to the version's files, for programs and as a page."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "decision.json").write_text(decision.to_json(), encoding="utf-8")
        (folder / "decision.html").write_text(page, encoding="utf-8")
        store.attach(version, folder, f"decisions/against version {against}" if against else "decisions/first")


def _promote(book: Ledger, number: int, said: Mapping[str, Any]) -> str:
    present = transaction.present(book.model)
    former = present[CHAMPION]
    transaction.write(book, "promotion", {"version": number, "from": former, **said}, _with_champion(present, number))
    return f"{book.model} version {number} is @champion" + (f", version {former} is @previous" if former else "")


def _with_champion(present: Mapping[str, int | None], number: int) -> dict[str, int | None]:
    """The aliases when a version takes the champion's place."""
    challenger, before = present[CHALLENGER], _standing(present, number)
    return {
        CHAMPION: number,
        PREVIOUS: before,
        CHALLENGER: None if challenger == number else challenger,
    }


def _standing(present: Mapping[str, int | None], number: int) -> int | None:
    before = present[CHAMPION] or present[PREVIOUS]
    return None if before == number and not present[CHAMPION] else before


def _check(entries: list[Entry], number: int, present: int | None) -> None:
    """Raise unless the version may replace the champion `present`: only what was judged may be promoted."""
    decision = _judged(entries, number)
    if not decision.details["promote"]:
        raise BadData(f"the gate keeps version {number} out ({decision.details['reason']}): {_NO}")
    refused = _refusal(entries, number)
    if refused:
        raise BadData(f"{refused}: {_NO}")
    against = decision.details["against"]
    if against != present:
        raise TryAgain(
            f"version {number} was compared with {_version(against)}, and {_version(present)} is champion now: "
            f"have it judged again (`lmforge run`); {_NO}"
        )


def _refusal(entries: list[Entry], number: int) -> str | None:
    for entry in reversed(entries):
        details = entry.details
        if entry.kind in ("promotion", "rollback", "approval") and details["version"] == number:
            return None
        if entry.kind == "rejection" and details["version"] == number:
            return f"version {number} was rejected by {details['by']} on {entry.time[:10]} ({details['reason']})"
        if entry.kind == "rollback" and details["from"] == number:
            return f"version {number} was rolled back by {details['by']} on {entry.time[:10]} ({details['reason']})"
    return None


def _decisions(entries: list[Entry], number: int) -> list[Entry]:
    """All decisions about a version, the newest first."""
    return [entry for entry in reversed(entries) if entry.kind == "decision" and entry.details["version"] == number]


def _judged(entries: list[Entry], number: int) -> Entry:
    """The last decision about a version."""
    for entry in _decisions(entries, number):
        return entry
    raise BadData(f"version {number} was not judged by the gate: {_NO}")


def _version(number: int | None) -> str:
    return "no champion" if number is None else f"version {number}"
