"""GET /v1/models/MODEL/card: what a version is, how it answers by default, and how it was judged."""

import asyncio
from collections.abc import Sequence
from typing import Any

from components.api.loaded import Loaded
from components.registry import ledger
from components.registry.ledger import Entry
from components.serving.answering import AnswerWriter


async def card(version: Loaded, model: str) -> dict[str, Any]:
    """The model card as Markdown, the defaults of requests, the gate's last decision, and what became of it."""
    entries = await asyncio.to_thread(ledger.read)
    about = [entry for entry in entries if entry.model == version.version.name]
    return {
        "id": model,
        "object": "model.card",
        "version": version.version.number,
        "digest": version.version.digest,
        "created": int(version.version.created.timestamp()),
        "defaults": _defaults(version),
        "card": version.card,
        "decision": _decision(about, version.version.number),
        "history": _history(about, version.version.number),
    }


def _defaults(version: Loaded) -> dict[str, Any] | None:
    """What a request for an answer leaves open; None for a model that labels."""
    model = version.model
    if not isinstance(model, AnswerWriter):
        return None
    return {
        "max_tokens": model.defaults.max_new_tokens,
        "temperature": model.defaults.temperature,
        "top_p": model.defaults.top_p,
        "repetition_penalty": model.repetition_penalty,
    }


def _decision(entries: Sequence[Entry], number: int) -> dict[str, Any] | None:
    """The last decision of the gate about a version; None where it has judged none."""
    for entry in reversed(entries):
        if entry.kind == "decision" and entry.details["version"] == number:
            against = entry.details["against"]
            return {"time": entry.time, "reason": entry.details["reason"], "against": against} | {
                name: entry.details["decision"][name] for name in ("promote", "rules")
            }
    return None


def _history(entries: Sequence[Entry], number: int) -> list[dict[str, Any]]:
    """When a version became champion or stopped being it, and what people said about it; the newest first."""
    return [
        {
            "time": entry.time,
            "kind": entry.kind,
            "version": entry.details["version"],
            "from": entry.details.get("from"),
            "by": entry.details["by"],
            "reason": entry.details["reason"],
        }
        for entry in reversed(entries)
        if entry.kind in ("approval", "rejection", "promotion", "rollback")
        and number in (entry.details["version"], entry.details.get("from"))
    ]
