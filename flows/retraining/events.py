"""The events that start the deployment `retrain-on-data`, by the automations of `automations.py`."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from flows.services import prefect_api

CHANGED = "lmforge.data.changed"
DRIFTED = "lmforge.data.drifted"


def send(api: str, event: str, resource: str, payload: Mapping[str, object]) -> None:
    """Send an event without Prefect's own client, which takes seconds to import.

    https://docs.prefect.io/v3/api-ref/rest-api/server/events/create-events
    """
    body = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": event,
        "resource": {"prefect.resource.id": resource},
        "payload": dict(payload),
    }
    prefect_api.ask(api, "POST", "/events", [body])
