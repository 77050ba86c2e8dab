"""Decisions about the versions of a model in a registry: what a gate and a release do, without either."""

from components.registry import champion, ledger, store, transaction
from components.registry.store import Version
from tests.components.support import tiny

NAME = "model"


def version(number: int) -> Version:
    """A version of the model."""
    return store.find(NAME, str(number))


def judge(number: int, promote: bool = True, key: str = "key") -> None:
    """A decision of the gate against the present champion."""
    against = store.aliases(NAME).get("champion")
    champion.decide(
        version(number), tiny.decision(promote, number, against), tiny.PAGE, against, f"{key} {number} {against}"
    )


def release(*numbers: int) -> None:
    """Promote versions, one after the other, by the gate."""
    for number in numbers:
        judge(number)
        champion.promote(NAME, number, "better")


def kinds() -> list[str]:
    """The kinds of the entries of the ledger."""
    return [entry.kind for entry in ledger.read()]


def holds() -> bool:
    """Whether ledger and registry agree, and nothing is unfinished."""
    found = transaction.examine([NAME])
    return not found.faults and found.unfinished is None
