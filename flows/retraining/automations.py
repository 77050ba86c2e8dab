"""Prefect's automations: start retraining on an event, and notice runs that fell silent."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows.processes import environment
from flows.retraining.events import CHANGED, DRIFTED

SILENT_FOR = timedelta(seconds=3 * environment.HEARTBEAT)

_HEARTBEAT = "prefect.flow-run.heartbeat"
_STATES = (
    "Completed",
    "Failed",
    "Cancelled",
    "Crashed",
    "AwaitingRetry",
    "Paused",
    "Suspended",
    "Scheduled",
    "Pending",
)


def wanted(deployments: Mapping[str, UUID]) -> list[AutomationCore]:
    """All automations, given the ids of the deployments by their names."""
    retrain = deployments["retrain-on-data"]
    return [
        _retrain_on(CHANGED, retrain, "data: +{{ '{:,}'.format(event.payload.new_tokens) }} tokens"),
        _retrain_on(
            DRIFTED,
            retrain,
            "drift: {{ '%.2f' | format(event.payload.figure) }} > {{ '%.2f' | format(event.payload.threshold) }}",
        ),
        _notice_silence(),
    ]


def register(client: SyncPrefectClient, deployments: Mapping[str, UUID]) -> None:
    """Create each automation, or update the one of that name; one that was switched off stays off."""
    for automation in wanted(deployments):
        known = client.read_automations_by_name(automation.name)
        if not known:
            client.create_automation(automation)
        else:
            automation.enabled = known[0].enabled
            client.update_automation(known[0].id, automation)


def _retrain_on(event: str, deployment: UUID, trigger: str) -> AutomationCore:
    """Run the deployment on each such event; the name of the run is the text `trigger`."""
    return AutomationCore(
        name=f"retrain on {event}",
        description=f"Starts retrain-on-data on each event {event}. Made by `lmforge up`.",
        tags=["lmforge"],
        trigger=EventTrigger(expect={event}, posture=Posture.Reactive, threshold=1, within=timedelta(0)),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment,
                parameters={"trigger": {"__prefect_kind": "jinja", "template": trigger}},
            )
        ],
    )


def _notice_silence() -> AutomationCore:
    """https://docs.prefect.io/v3/advanced/detect-zombie-flows"""
    return AutomationCore(
        name="crash silent runs",
        description="A run whose heartbeats stop is taken for crashed. Made by `lmforge up`.",
        tags=["lmforge"],
        trigger=EventTrigger(
            after={_HEARTBEAT},
            expect={_HEARTBEAT, *(f"prefect.flow-run.{state}" for state in _STATES)},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENT_FOR,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, name="Crashed", message="its heartbeats stopped: the process is gone"
            )
        ],
    )
