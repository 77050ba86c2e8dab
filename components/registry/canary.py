"""What the ledger says about a challenger that answers a share of the requests."""

from components.registry import champion, ledger, transaction

_TAKEN_BACK = "taken_back"


def begin(name: str, number: int, share: float) -> None:
    """Record that a version begins to answer a share of the requests, unless that is the last that was said of it."""
    reason = f"it answers {share:.3g} of the requests as a canary"
    with transaction.begin(name) as book:
        last = next((entry for entry in reversed(book.entries) if entry.kind == "canary"), None)
        if last is None or (last.details["version"], last.details["reason"]) != (number, reason):
            transaction.write(book, "canary", {"version": number, "share": share, "reason": reason})


def take_back(name: str, number: int, reason: str) -> None:
    """Record that a version answers no more requests, and why."""
    with transaction.begin(name) as book:
        details = {"version": number, "reason": f"taken back: {reason}", _TAKEN_BACK: True}
        transaction.write(book, "canary", details)


def refusal(name: str, number: int) -> str | None:
    """Why a version must not answer: it was taken back before, or a person refused it; or None."""
    for entry in reversed(ledger.read()):
        about = (entry.model, entry.kind, entry.details.get("version"))
        if about == (name, "canary", number) and _TAKEN_BACK in entry.details:
            return f"version {number} was {entry.details['reason']}"
    return champion.refusal(name, number)
