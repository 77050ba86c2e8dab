"""Prefect's deployments, their schedules and limits. `lmforge up` registers them.

A deployment whose definition did not change since it was registered is left alone, and with it what a user set in
Prefect's pages: another schedule, or a pause.

docs/decisions.md, "What is set in Prefect's pages stays"
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.schedules import Cron, Interval, Schedule
from tzlocal import get_localzone_name

from components.core import params
from components.core.errors import StageError
from flows.processes import environment
from flows.retraining import automations, policy
from flows.retraining.settings import Retraining
from flows.services.service import POOL

EVERY_NIGHT = "0 3 * * *"

_STRATEGIES = {"drop": ConcurrencyLimitStrategy.CANCEL_NEW, "queue": ConcurrencyLimitStrategy.ENQUEUE}


@dataclass(frozen=True)
class Definition:
    """One deployment: the flow by its module, and when and where it runs.

    docs/decisions.md, "Entry points are modules"
    """

    name: str
    entrypoint: str
    isolated: bool = False  # in a git worktree of its own
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cron: str | None = None
    minutes: float | None = None
    overlap: ConcurrencyLimitStrategy = ConcurrencyLimitStrategy.ENQUEUE

    def build(self) -> RunnerDeployment:
        """The deployment for Prefect; its version is a digest of the whole definition."""
        command = f"flows.processes.flow_run {self.entrypoint if self.isolated else ''}".strip()
        built = RunnerDeployment.from_entrypoint(
            self.entrypoint,
            name=self.name,
            schedule=self._schedule(),
            parameters=dict(self.parameters),
            tags=["lmforge"],
            work_pool_name=POOL,
            job_variables={"command": f"python -m {command}", "working_dir": str(Path.cwd())},
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=self.overlap),
        )
        # Without Prefect's schedules, as the anchor of an interval differs in each build.
        content = built.model_dump(mode="json", exclude={"schedules", "version"}) | {
            "schedule": [self.cron, self.minutes],
            "form": built._parameter_openapi_schema.model_dump(mode="json"),
        }
        built.version = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]
        return built

    def _schedule(self) -> Schedule | None:
        """The schedule, in the time zone of this machine."""
        if self.cron:
            return Cron(self.cron, timezone=get_localzone_name())
        return Interval(timedelta(minutes=self.minutes)) if self.minutes else None


def definitions(settings: Retraining) -> list[Definition]:
    """All deployments."""
    overlap = _STRATEGIES[settings.overlap]
    train = "flows.pipeline.train.train"
    return [
        Definition("train", train, True, {"trigger": policy.CALENDAR}, cron=settings.cron, overlap=overlap),
        Definition("retrain-on-data", train, True, {"trigger": policy.DATA}, overlap=overlap),
        Definition("watch-data", "flows.retraining.watch.watch_data", minutes=settings.watch_minutes),
        Definition("watch-requests", "flows.retraining.watch_requests.watch_requests", minutes=settings.watch_minutes),
        Definition("promote", "flows.promotion.flows.promote"),
        Definition("rollback", "flows.promotion.flows.rollback"),
        Definition("evaluate-champion", "flows.retraining.evaluate_champion.evaluate_champion", True, cron=EVERY_NIGHT),
    ]


def register(settings: Retraining) -> None:
    """Bring work pool, deployments and automations up to date on the server of `PREFECT_API_URL`."""
    with get_client(sync_client=True) as client:
        _make_pool(client)
        ids = {definition.name: apply(client, definition) for definition in definitions(settings)}
        automations.register(client, ids)


def _make_pool(client: SyncPrefectClient) -> None:
    try:
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", description="Runs of this repository, as processes")
        )
    except ObjectAlreadyExists:
        return


def apply(client: SyncPrefectClient, definition: Definition) -> UUID:
    """Register a deployment if the server does not have it, or has another version of it; returns its id."""
    deployment = definition.build()
    try:
        known = client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        known = None
    if known is not None and known.version == deployment.version:
        return known.id
    applied = deployment.apply()
    assert isinstance(applied, UUID)
    print(f"deployment {deployment.full_name} is registered", flush=True)
    return applied


def main() -> None:
    """Register everything for the current folder."""
    environment.prepare()
    register(params.read("retraining", Retraining))


if __name__ == "__main__":
    try:
        main()
    except StageError as error:
        print(f"lmforge: {error}", file=sys.stderr)
        sys.exit(error.code)
