"""The environment in which Prefect, MLflow, DVC and the stages run: telemetry off, no user configuration."""

import os
import sys
from pathlib import Path

from components.core.files import STATE

PREFECT_HOME = STATE / "prefect"

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # MLflow compares with this word, "1" would not do
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}

HEARTBEAT = 30
"""Seconds between two heartbeats of a flow run; Prefect accepts no smaller number."""

_LOOPBACK = "127.0.0.1,localhost"


def prepare() -> None:
    """Set the environment of this process and thereby of its children; to be called before Prefect is imported."""
    os.environ.update(TELEMETRY_OFF)
    os.environ["PREFECT_HOME"] = str(PREFECT_HOME.resolve())
    # The terminal shows the stages' own lines; Prefect's go to its server.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # Prefect always writes the result of a flow to disk, no setting prevents it: as JSON, not as a pickle.
    os.environ["PREFECT_RESULTS_DEFAULT_SERIALIZER"] = "json"
    # For runs by hand too: `flows.retraining.automations` marks a run as crashed after three missing heartbeats.
    os.environ["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = str(HEARTBEAT)
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), _LOOPBACK]))
    if "PREFECT_SERVER_API_AUTH_STRING" in os.environ:
        os.environ.setdefault("PREFECT_API_AUTH_STRING", os.environ["PREFECT_SERVER_API_AUTH_STRING"])
    if "PREFECT_API_URL" not in os.environ:
        os.environ.pop("PREFECT_API_KEY", None)  # a stray key would be sent to our own server, which refuses it


def for_children(**more: str) -> dict[str, str]:
    """The environment for a child process: programs of this virtual environment first, output unbuffered."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        # docs/decisions.md, "`exec` in the commands of `dvc.yaml`"
        "SHELL": "/bin/sh",  # DVC runs a command with $SHELL -c; sh replaces itself by a simple command
        **more,
    }
