"""The `watch-data` flow: checks whether the files of the sources changed, and whether that is worth a training run.

Its events start the deployment `retrain-on-data`, whose flow asks the policy again.
"""

import json
from datetime import UTC, datetime, timedelta

from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from components.core import params
from components.core.files import write_atomically
from components.data import listing
from flows.processes import locks
from flows.retraining import decision_log, new_data, policy, usage
from flows.retraining.decision_log import LoggedDecision
from flows.retraining.events import CHANGED, DRIFTED
from flows.retraining.policy import DATA, DRIFT, Request
from flows.retraining.settings import FOLDER, Retraining

ASKED = FOLDER / "asked.json"
ASK_AGAIN = timedelta(days=1)

_OPEN = ["RUNNING", "PENDING", "PAUSED", "CANCELLING", "SCHEDULED"]


@flow(name="watch-data", flow_run_name="watch")
def watch_data() -> State[None]:
    """Compare the files of the sources with those that the last training run read, and request one by an event.

    No event is sent while the policy would refuse, while a training run is active or waiting, or when one of the very
    same files was started before.
    """
    now, settings = listing.look(), params.read("retraining", Retraining)
    last = new_data.last_trained()
    if last is None and not now:
        return Completed(message="no source has files that could change")
    if last is not None and last.listing == now:
        return Completed(
            message=f"nothing new since {last.model} version {last.version} ({last.time[:16].replace('T', ' ')} UTC)"
        )
    tokens = new_data.new_tokens(now)
    moved, dimension = new_data.moved(now)
    seen = describe(tokens, moved, dimension)
    request = choose(sum(tokens.values()), moved, settings)
    return Completed(message=f"{seen}: {_act(request, tokens, listing.digest(now), settings)}")


def describe(tokens: dict[str, int], drift: float, dimension: str) -> str:
    """What was seen, such as `+120,340 tokens in notes, drift 0.04 (length)`."""
    new = f"+{sum(tokens.values()):,} tokens in {', '.join(tokens)}" if tokens else "files are gone, none is new"
    return f"{new}, drift {drift:.2f} ({dimension})" if dimension else new


def choose(tokens: int, drift: float, settings: Retraining) -> Request:
    """The request for the policy: because of drift if only that is reason enough, otherwise because of new data."""
    if tokens < settings.min_new_tokens and drift > settings.max_drift:
        return Request(f"{DRIFT}: {drift:.2f} > {settings.max_drift:g}", tokens, drift)
    return Request(f"{DATA}: +{tokens:,} tokens", tokens, drift)


def _act(request: Request, tokens: dict[str, int], digest: str, settings: Retraining) -> str:
    """Send the event, or return why not."""
    records, now = decision_log.decisions(), datetime.now(UTC)
    begun = next((record for record in records if record.train and record.listing == digest), None)
    if begun:
        return f"a training of these files was begun on {begun.time[:10]} ({begun.trigger})"
    answer = _answer(digest, records, now)
    if answer:
        return f"a training run was requested; the run {answer.flow_run} answered: {answer.reason}"
    if locks.is_held(locks.LOCKS / "run") or _is_one_open():
        return "a training run is at work or waits already"
    decision = policy.decide(request, usage.history(), settings, now)
    if not decision.train:
        if (request.trigger, digest) not in {(record.trigger, record.listing) for record in records}:
            decision_log.note(
                LoggedDecision(
                    now.isoformat(), request.trigger, False, decision.reason, str(runtime.flow_run.id), digest
                )
            )
        return decision.reason
    write_atomically(ASKED, json.dumps({"listing": digest, "time": now.isoformat()}))
    _send(request, tokens, digest, settings)
    return "a training run is requested"


def _answer(digest: str, records: list[LoggedDecision], now: datetime) -> LoggedDecision | None:
    """The decision of the run that was last started for these files; after a day one may be started once more.

    Such a run refuses when its commit has other settings or sources than the main tree, which the watcher reads.
    """
    asked: dict[str, str] = json.loads(ASKED.read_text(encoding="utf-8")) if ASKED.exists() else {"listing": ""}
    if asked["listing"] != digest or now - datetime.fromisoformat(asked["time"]) > ASK_AGAIN:
        return None
    return next((r for r in records if r.time > asked["time"] and r.trigger.startswith((DATA, DRIFT))), None)


def _is_one_open() -> bool:
    """Whether a training run of a deployment is active or due."""
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": _OPEN}}, "deployment_id": {"is_null_": False}})
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter.model_validate({"name": {"any_": ["train"]}}), flow_run_filter=wanted
        )
    now = datetime.now(UTC)
    return any(run.expected_start_time is None or run.expected_start_time <= now for run in runs)


def _send(request: Request, tokens: dict[str, int], digest: str, settings: Retraining) -> None:
    figures: dict[str, dict[str, object]] = {
        CHANGED: {"sources": tokens, "new_tokens": request.new_tokens},
        DRIFTED: {"figure": request.drift, "threshold": settings.max_drift},
    }
    event = CHANGED if request.kind == DATA else DRIFTED
    emit_event(event, resource={"prefect.resource.id": "lmforge.data"}, payload={**figures[event], "listing": digest})
