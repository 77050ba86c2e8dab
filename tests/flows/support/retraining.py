"""A source of files that grows, and settings of the policy."""

from pathlib import Path

from ruamel.yaml import YAML

from flows.retraining.settings import Notify, Retraining
from tests.support import corpus

SETTINGS = Retraining(
    cron=None,
    watch_minutes=15,
    min_new_tokens=500_000,
    max_drift=0.25,
    cooldown_minutes=60,
    budget_minutes=240,
    overlap="queue",
    veto_minutes=0,
    notify=Notify(command=None, webhook=None),
)
NOTES = corpus.notes("corpus/*.txt")

PARAMS = """\
finetune: {assistant: {base: models/pretrained}}
ingest: {sources: sources.yaml, licenses: [MIT], take: [documents], max_bad_rows: 0}
retraining:
  {cron: null, watch_minutes: 15, min_new_tokens: 200, max_drift: 0.25, cooldown_minutes: 0, budget_minutes: 60,
   overlap: queue, veto_minutes: 0, notify: {command: null, webhook: null}}
"""


def write(folder: Path) -> None:
    """The catalogue and the settings."""
    with (folder / "sources.yaml").open("w") as file:
        YAML().dump({"sources": [NOTES]}, file)
    (folder / "params.yaml").write_text(PARAMS)


def add(folder: Path, name: str, size: int) -> None:
    """A file of the source; 4 bytes count for a token."""
    (folder / "corpus").mkdir(exist_ok=True)
    (folder / "corpus" / f"{name}.txt").write_text((name * size)[:size])
