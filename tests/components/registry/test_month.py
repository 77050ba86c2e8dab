"""A month of daily runs over the real registry: the ledger holds, and tells who was champion on each day."""

from collections import Counter
from pathlib import Path

import pytest

from components.registry import champion, ledger, store, transaction
from tests.components.support import tiny

NAME = "assistant"
# What becomes of each day: its version is better, worse, equal to the champion, or not there as the run failed; it is
# better and rolled back later that day; better and a person does not want it.
MONTH = """
better better worse  equal  fails    better worse  better rolled-back better
equal  worse  fails  better rejected worse  better better equal       rolled-back
better worse  fails  better equal    worse  better better worse       equal
"""
DAYS = MONTH.split()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_package: Path) -> Path:
    """An empty registry, in the current folder, and a package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tiny_package


def live(day: str, package: Path, number: int) -> None:
    """What the run of a day, and the people of that day, do to the registry."""
    if day == "fails":
        return
    version = store.register(tiny.vary(package, Path(f"package_{number}"), number), NAME, {})
    present = store.aliases(NAME).get(store.CHAMPION)
    decision = tiny.decision(promote=day not in ("worse", "equal"), version=version.number, champion=present)
    champion.decide(version, decision, tiny.PAGE, present, f"key {number}")
    if day == "rejected":
        champion.reject(NAME, version.number, "Ann", "rude answers")
    elif decision.promote:
        champion.promote(NAME, version.number, str(decision))
    if day == "rolled-back":
        champion.rollback(NAME, "Bo", "bad answers")


def expected() -> list[int]:
    """The champion of each day, by what is to become of it."""
    champions, version = [0], 0
    for day in DAYS:
        version += day != "fails"
        champions.append(version if day == "better" else champions[-1])
    return champions[1:]


def test_a_month(folder: Path) -> None:
    seen, ends = [], []  # at the end of each day the champion in the registry, and how long the ledger is
    for number, day in enumerate(DAYS):
        live(day, folder, number)
        seen.append(store.aliases(NAME)[store.CHAMPION])
        ends.append(len(ledger.read()))
    assert seen == expected()

    found = transaction.examine([NAME])
    assert (found.faults, found.unfinished) == ([], None)
    entries = ledger.read()
    stated = [entry.details.get("aliases", {}).get(store.CHAMPION) for entry in entries]
    told = [next(number for number in reversed(stated[:end]) if number) for end in ends]
    assert told == expected()

    count = Counter(entry.kind for entry in entries)
    versions = len(DAYS) - DAYS.count("fails")
    promotions = DAYS.count("better") + DAYS.count("rolled-back")
    assert count == {"decision": versions, "promotion": promotions, "rollback": 2, "rejection": 1}
