"""The `watch-requests` flow: checks whether what users ask has drifted from what the champions were tested on.

Its event starts the deployment `retrain-on-data`, whose flow asks the policy again.
"""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from components.api.settings import Serve
from components.core import params
from components.core.errors import BadData
from flows import recipes
from flows.retraining import requests_drift


@flow(name="watch-requests", flow_run_name="watch")
def watch_requests() -> State[None]:
    """Compare what users ask with the test set of each champion, and request a training run by an event."""
    if params.read("serve", Serve).log is None:
        return Completed(message="no answers are kept: serve.log of params.yaml is not set")
    lines = []
    for recipe in recipes.asked():
        try:
            found = requests_drift.look(recipe, requests_drift.LAST)
        except BadData as error:
            lines.append(str(error))
        else:
            lines.append(f"{requests_drift.summary(found)}: {requests_drift.act(found)}")
    return Completed(message="; ".join(lines))
