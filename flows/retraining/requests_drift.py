"""How far what users ask, and are answered, has drifted from the test sets of the champions; and the event about it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from components.core import params
from components.core.errors import BadData
from components.core.files import read_json, write_atomically
from components.core.recipe import model_name
from components.data import listing
from components.registry import store
from components.traffic import watching
from components.traffic.watching import WatchedModel
from flows.processes import locks
from flows.retraining import events, policy, usage
from flows.retraining.policy import DRIFT, Request
from flows.retraining.settings import FOLDER, Retraining
from flows.services.server import found_prefect

FOUND = FOLDER / "requests.json"
"""The drift of the requests to each model, as last measured, and the data for which a training run was requested."""

LAST = 2000  # requests that are compared


def look(recipe: str, last: int) -> WatchedModel:
    """Measure the drift of the last requests to a recipe's model, and note it for the policy. Raises `BadData`."""
    model = model_name(recipe)
    if store.CHAMPION not in store.aliases(model):
        raise BadData(f"{model} has no champion yet")
    found = watching.watch(model, params.read("retraining", Retraining).max_drift, last)
    drift = found.most.index if found.most else 0.0
    _note(model, {"version": found.version, "drift": drift})
    return found


def summary(found: WatchedModel) -> str:
    """What was seen, such as `lmforge-assistant version 2: drift 0.41 (words of inputs) in 2,000 requests`."""
    most = found.most
    drifted = f"drift {most.index:.2f} ({most.dimension} of {most.texts})" if most else "no drift"
    return f"{found.model} version {found.version}: {drifted} in {found.requests:,} requests"


def act(found: WatchedModel) -> str:
    """Request a training run because of the drift, or say why not."""
    if found.most is None:
        return f"nothing is beyond max_drift {found.threshold:g} and chance"
    settings, seen = params.read("retraining", Retraining), listing.digest(listing.look())
    key = f"{found.version} {seen}"
    if _noted(found.model).get("asked") == key:
        return "a training run was requested before, with the same data: add some, such as corrected answers"
    if locks.is_held(locks.LOCKS / "run"):
        return "a training run is at work"
    request = Request(f"{DRIFT}: {found.most.index:.2f} > {settings.max_drift:g}", 0, found.most.index)
    decision = policy.decide(request, usage.history(), settings, datetime.now(UTC))
    if not decision.train:
        return decision.reason
    server = found_prefect()
    if server is None:
        return "no training run is requested, as `lmforge up` does not run"
    payload = {"figure": found.most.index, "threshold": settings.max_drift, "listing": seen}
    events.send(f"{server.url}/api", events.DRIFTED, "lmforge.requests", payload)
    _note(found.model, {"asked": key})
    return "a training run is requested"


def noted_drift(models: Sequence[str]) -> float:
    """The largest drift of requests as last measured, of champions that are still the same."""
    drifts = [0.0]
    for model in models:
        found = _noted(model)
        if found and store.aliases(model).get(store.CHAMPION) == found["version"]:
            drifts.append(float(found["drift"]))
    return max(drifts)


def _noted(model: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = read_json(FOUND) if FOUND.exists() else {}
    return found.get(model, {})


def _note(model: str, facts: dict[str, Any]) -> None:
    found = read_json(FOUND) if FOUND.exists() else {}
    write_atomically(FOUND, json.dumps(found | {model: _noted(model) | facts}))
