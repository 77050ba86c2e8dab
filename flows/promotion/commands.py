"""Commands that change the champion: they act at once, on the registry alone, and are then recorded in Prefect.

So Prefect's pages show these commands among the runs of the flows that do the same. If its server is not running, or
does not answer, only the ledger has them.

docs/decisions.md, "The command line needs no Prefect server"
"""

from typing import Any

import requests

from components.core.errors import TryAgain
from components.core.recipe import model_name
from components.core.stage import log
from components.registry import champion
from flows import console
from flows.services import prefect_api
from flows.services.server import found_prefect


def promote(recipe: str, version: int, by: str, reason: str, anyway: bool) -> None:
    """Make a version of a recipe's model the champion."""
    line = champion.approve(model_name(recipe), version, by, reason, anyway)
    console.say("promote", line)
    said = {"version": version, "verdict": "approve", "by": by, "reason": reason, "anyway": anyway, "recipe": recipe}
    _tell("promote", f"promote {recipe} version {version}: approved by {by}", said, "Promoted", line)


def reject(recipe: str, version: int, by: str, reason: str) -> None:
    """Reject a version of a recipe's model."""
    line = champion.reject(model_name(recipe), version, by, reason)
    console.say("reject", line)
    said = {"version": version, "verdict": "reject", "by": by, "reason": reason, "recipe": recipe}
    _tell("promote", f"promote {recipe} version {version}: rejected by {by}", said, "Rejected", line)


def rollback(recipe: str, by: str, reason: str) -> None:
    """Make the previous champion of a recipe the champion again."""
    line = champion.rollback(model_name(recipe), by, reason)
    console.say("rollback", line)
    said = {"by": by, "reason": reason, "recipe": recipe}
    _tell("rollback", f"roll {recipe} back: {by}", said, "RolledBack", line)


def _tell(flow: str, name: str, parameters: dict[str, Any], state: str, line: str) -> None:
    """Create a flow run in Prefect that has already ended in this state, if its server is up.

    https://docs.prefect.io/v3/api-ref/rest-api/server/flow-runs/create-flow-run
    """
    try:
        server = found_prefect()
        if server:
            api = f"{server.url}/api"
            known = prefect_api.ask(api, "POST", "/flows/", {"name": flow})
            ended = {"type": "COMPLETED", "name": state, "message": line}
            run = {"flow_id": known["id"], "name": name, "parameters": parameters, "state": ended}
            prefect_api.ask(api, "POST", "/flow_runs/", run)
    except (TryAgain, requests.RequestException) as error:
        log.warning("Prefect's pages do not show this: %s", error)
