"""Who is champion, over the real registry, in order; `test_interruptions.py` has what comes in between."""

import shutil
import threading
from pathlib import Path

import pytest

from components import tracking
from components.core.errors import BadData, BadSettings, TryAgain
from components.registry import champion, ledger, store, transaction
from tests.components.support import tiny
from tests.components.support.decisions import NAME, holds, judge, kinds, release, version

pytestmark = pytest.mark.usefixtures("registry")


def test_the_aliases_of_a_model_over_its_life() -> None:
    judge(1)
    assert store.aliases(NAME) == {"challenger": 1}
    said = champion.promote(NAME, 1, "above the floors")
    assert said == "model version 1 is @champion"
    assert store.aliases(NAME) == {"champion": 1}
    judge(3, promote=False)
    judge(2)
    assert champion.promote(NAME, 2, "better") == "model version 2 is @champion, version 1 is @previous"
    judge(3, promote=False)
    assert store.aliases(NAME) == {"champion": 2, "previous": 1, "challenger": 3}
    assert champion.rollback(NAME, "Ann", "bad answers") == "model version 1 is @champion again, version 2 is @previous"
    assert store.aliases(NAME) == {"champion": 1, "previous": 2, "challenger": 3}
    champion.rollback(NAME, "Ann", "it was not that")
    assert store.aliases(NAME) == {"champion": 2, "previous": 1, "challenger": 3}
    assert kinds() == [*["decision", "promotion"], *["decision"] * 2, "promotion", "decision", *["rollback"] * 2]
    assert [entry.details["aliases"]["champion"] for entry in ledger.read()] == [None, 1, 1, 1, 2, 2, 1, 2]
    assert holds()


def test_readers_find_a_champion_at_every_moment() -> None:
    release(1, 2)
    seen: list[int | None] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(store.aliases(NAME).get("champion"))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(4):
        champion.rollback(NAME, "Ann", "to and fro")
    over.set()
    reader.join()
    assert set(seen) == {1, 2}


def test_what_stands_in_the_ledger_on_a_person() -> None:
    judge(1)
    champion.approve(NAME, 1, "Ann", "looks good")
    decision, approval, promotion = ledger.read()
    assert (decision.kind, decision.details["against"], decision.details["promote"]) == ("decision", None, True)
    assert (approval.kind, approval.details["by"], approval.details["reason"]) == ("approval", "Ann", "looks good")
    assert (promotion.kind, promotion.details["version"], promotion.details["from"]) == ("promotion", 1, None)
    assert store.notes(version(1))["approval"] == "approved by Ann"
    assert champion.approve(NAME, 1, "Ann", "again") == "model version 1 is @champion already: nothing to do"
    assert len(kinds()) == 3


def test_a_decision_is_made_once() -> None:
    judge(1)
    assert champion.decided(version(1), "key 1 None") is not None
    assert champion.decided(version(1), "other") is None
    assert champion.decided(version(2), "key 1 None") is None
    judge(1)
    assert kinds() == ["decision"]
    judge(2)
    judge(1)  # is the challenger again
    assert store.aliases(NAME) == {"challenger": 1}
    assert kinds() == ["decision"] * 3


def test_what_was_judged_is_what_is_promoted() -> None:
    with pytest.raises(BadData, match="version 1 was not judged by the gate: --anyway promotes it all the same"):
        champion.approve(NAME, 1, "Ann", "why not")
    judge(1)
    judge(2)
    champion.promote(NAME, 1, "above the floors")
    line = "version 2 was compared with no champion, and version 1 is champion now: have it judged again"
    with pytest.raises(TryAgain, match=line):
        champion.approve(NAME, 2, "Ann", "looks good")
    with pytest.raises(TryAgain, match=line):
        champion.promote(NAME, 2, "above the floors")
    judge(3, promote=False)
    with pytest.raises(BadData, match=r"the gate keeps version 3 out \(.*\): --anyway"):
        champion.approve(NAME, 3, "Ann", "looks good")
    assert store.aliases(NAME)["champion"] == 1
    champion.approve(NAME, 3, "Ann", "the tests are wrong", anyway=True)
    assert store.aliases(NAME) == {"champion": 3, "previous": 1}
    assert ledger.read()[-1].details["anyway"]
    with pytest.raises(BadSettings, match=r"the registry has no model 9; it has @champion \(3\), @previous \(1\)"):
        champion.approve(NAME, 9, "Ann", "looks good")
    assert holds()


def test_what_a_person_did_not_want_does_not_come_back_by_itself() -> None:
    release(1)
    judge(2)
    assert champion.refusal(NAME, 2) is None
    champion.reject(NAME, 2, "Ann", "rude")
    refusal = champion.refusal(NAME, 2)
    assert refusal
    assert refusal.startswith("version 2 was rejected by Ann on ")
    assert store.notes(version(2))["approval"] == "rejected by Ann"
    for command in (lambda: champion.promote(NAME, 2, "better"), lambda: champion.approve(NAME, 2, "Bo", "fine")):
        with pytest.raises(BadData, match=r"rejected by Ann on .* \(rude\): --anyway"):
            command()
    champion.approve(NAME, 2, "Bo", "she agrees now", anyway=True)
    assert champion.refusal(NAME, 2) is None
    champion.rollback(NAME, "Ann", "told you")
    assert "version 2 was rolled back by Ann" in str(champion.refusal(NAME, 2))
    with pytest.raises(BadSettings, match="version 1 is @champion: `lmforge rollback` takes it back"):
        champion.reject(NAME, 1, "Ann", "no")


def test_there_may_be_nothing_to_go_back_to() -> None:
    release(1)
    with pytest.raises(BadSettings, match="model has no @previous"):
        champion.rollback(NAME, "Ann", "panic")
    with pytest.raises(BadSettings, match="nobody has no @previous"):
        champion.rollback("nobody", "Ann", "panic")
    assert kinds() == ["decision", "promotion"]


def test_where_the_champion_is_lost_the_one_before_stands_in_for_it() -> None:
    release(1, 2)
    assert champion.gone(NAME) is None
    tracking.client().delete_model_version(NAME, "2")
    assert champion.gone(NAME) == 2
    assert (champion.standing(NAME, 3), champion.standing(NAME, 1)) == (1, None)
    champion.decide(version(3), tiny.decision(True, 3, None), tiny.PAGE, None, "by the floors alone")
    with pytest.raises(TryAgain, match="version 3 was compared with no champion"):
        champion.promote(NAME, 3, "better than nothing")
    champion.decide(version(3), tiny.decision(True, 3, 1), tiny.PAGE, 1, "better than version 1")
    champion.promote(NAME, 3, "better")
    assert store.aliases(NAME) == {"champion": 3, "previous": 1}
    assert champion.gone(NAME) is None
    tracking.client().delete_registered_model_alias(NAME, "champion")
    assert champion.rollback(NAME, "Ann", "it is lost") == "model version 1 is @champion again"
    assert store.aliases(NAME) == {"champion": 1}


def test_an_older_registry_is_taken_over() -> None:
    client = tracking.client()
    client.set_registered_model_alias(NAME, "champion", "2")
    client.set_registered_model_alias(NAME, "previous", "1")
    champion.rollback(NAME, "Ann", "the first that the ledger hears")
    start, rollback = ledger.read()
    assert start.kind == "start"
    assert start.details["reason"] == "the ledger begins here, with @champion 2, @previous 1"
    assert rollback.details["aliases"] == {"champion": 1, "previous": 2, "challenger": None}
    assert holds()


def test_an_alias_moved_by_hand_is_found_and_told() -> None:
    release(1, 2)
    tracking.client().set_registered_model_alias(NAME, "champion", "3")
    (fault,) = transaction.examine([NAME]).faults
    assert str(fault) == (
        "line 4: the last one says @champion 2, @previous 1, but the registry has @champion 3, @previous 1"
    )
    champion.rollback(NAME, "Ann", "who did that")
    assert kinds()[-2:] == ["repair", "rollback"]
    assert store.aliases(NAME) == {"champion": 1, "previous": 3}
    assert holds()


def test_a_cut_tail_is_found_and_never_forgotten() -> None:
    release(1, 2)
    lines = ledger.LEDGER.read_bytes().splitlines(keepends=True)
    ledger.LEDGER.write_bytes(b"".join(lines[:2]))
    assert [str(fault) for fault in transaction.examine([NAME]).faults] == [
        "line 3: missing: the registry knows entry 4 about model",
        "line 2: the last one says @champion 1, but the registry has @champion 2, @previous 1",
    ]
    champion.rollback(NAME, "Ann", "still works")
    assert store.aliases(NAME) == {"champion": 1, "previous": 2}
    assert kinds() == ["decision", "promotion", "repair", "repair", "rollback"]
    (fault,) = transaction.examine([NAME]).faults
    assert str(fault).startswith("line 3: entry 4, which the registry knows by the hash ")


def test_a_registry_put_back_from_a_copy_is_believed(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release(1, 2)
    shutil.copytree(registry / ".lmforge", registry / "restored/.lmforge")
    release(3, 4)
    shutil.copy(ledger.LEDGER, registry / "restored" / ledger.LEDGER)
    monkeypatch.chdir(registry / "restored")
    champion.rollback(NAME, "Ann", "after the restore")
    assert store.aliases(NAME) == {"champion": 1, "previous": 2}
    assert kinds()[-2:] == ["repair", "rollback"]
    assert holds()
