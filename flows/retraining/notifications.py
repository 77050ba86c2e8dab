"""Notifications when a run fails, a model is promoted, or one waits for approval: by a command, a webhook, or both.

`retraining.notify` of `params.yaml` names them. One that fails is logged and stops nothing.
"""

import os
import subprocess
from typing import Any, Literal

import requests
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging import get_logger

from components.core import params
from components.core.errors import StageError
from flows.retraining.settings import Notify

Event = Literal["failed", "promoted", "waits"]

_WITHIN = 30.0  # seconds


def failed(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A hook for flows that fail or crash."""
    tell("failed", f"{flow.name} ({flow_run.name}): {state.name}: {state.message}", flow_run.id)


def promoted(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001, what Prefect passes
    """A hook for flows that promote a model, and then end in the state `Promoted`."""
    if state.name == "Promoted":
        tell("promoted", f"{flow_run.name}: {state.message}", flow_run.id)


def tell(event: Event, message: str, flow_run: object) -> None:
    """Send a notification in each way that the settings name."""
    try:
        settings = params.read("retraining.notify", Notify)
    except StageError as error:
        _log(str(error))
        return
    body = {"event": event, "text": message, "flow_run": str(flow_run)}
    if settings.command:
        _run(settings.command, body)
    if settings.webhook:
        _post(settings.webhook, body)


def _run(command: tuple[str, ...], body: dict[str, str]) -> None:
    """Run the command, without a shell: the message is one argument, and all fields are in the environment."""
    fields = {f"LMFORGE_{name.upper()}": value for name, value in body.items()}
    try:
        subprocess.run(
            [*command, body["text"]],
            env={**os.environ, **fields},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WITHIN,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log(f"retraining.notify.command: {error}")


def _post(address: str, body: dict[str, str]) -> None:
    try:
        requests.post(address, json=body, timeout=_WITHIN).raise_for_status()
    except requests.RequestException as error:
        _log(f"retraining.notify.webhook: {error}")


def _log(line: str) -> None:
    get_logger("lmforge").warning("a notification was not sent: %s", line)
