"""Live progress of a training run in the Prefect UI: a bar, and a table with loss, tokens/s and ETA."""

import json
import re
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from components.core.files import STATE
from components.core.progress import ProgressState

EVERY = 2.0  # seconds between two updates


class LiveProgress:
    """Follows `.lmforge/progress/<stage>.json`, which the stage writes, and keeps two artifacts up to date."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._path = STATE / "progress" / f"{name}.json"
        self._artifacts: tuple[UUID, UUID] | None = None
        self._looked_at = 0.0
        self._state: ProgressState | None = None

    def update(self) -> None:
        """Read the file, unless that was done a moment ago, and show its content."""
        now = time.monotonic()
        if now - self._looked_at < EVERY:
            return
        self._looked_at = now
        try:
            self._state = json.loads(self._path.read_text())
        except FileNotFoundError:
            return
        self._show(self._state)

    def finish(self) -> None:
        """Fill the bar, and keep the last metrics."""
        if self._artifacts and self._state:
            self._show({**self._state, "done": self._state["total"]})

    def _show(self, state: ProgressState) -> None:
        percent = 100 * state["done"] / max(state["total"], 1)
        text = describe(self._name, state)
        if self._artifacts is None:
            key = re.sub(r"[^a-z0-9]+", "-", self._name.lower())
            self._artifacts = (
                _id(create_progress_artifact(percent, key=f"progress-{key}", description=self._name)),
                _id(create_markdown_artifact(text, key=f"figures-{key}", description=self._name)),
            )
            return
        bar, figures = self._artifacts
        with get_client(sync_client=True) as client:
            client.update_artifact(bar, ArtifactUpdate(data=percent))
            client.update_artifact(figures, ArtifactUpdate(data=text))


def describe(name: str, state: ProgressState) -> str:
    """Format a state that `components.core.progress` wrote as a Markdown table."""
    rows = {
        state["unit"]: f"{state['done']} of {state['total']}",
        **state["figures"],
    }
    if state["done"] < state["total"] and state["eta"] is not None:
        rows["ETA"] = str(timedelta(seconds=round(state["eta"])))
    lines = [f"**{name}**", "", "| | |", "| --- | ---: |", *(f"| {key} | {value} |" for key, value in rows.items())]
    return "\n".join(lines)


def _id(created: Any) -> UUID:
    # Prefect types these functions as if they could only be awaited.
    return created if isinstance(created, UUID) else UUID(str(created))
