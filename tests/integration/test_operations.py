"""New data on their way to a champion, as somebody sees it who has nothing open but Prefect's pages."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from ruamel.yaml import YAML

from flows.services import prefect_api
from tests.flows.support.running import wait_until
from tests.integration.support.working_copy import WorkingCopy, copy, git

pytestmark = pytest.mark.xdist_group("operations")

CATALOG = Path("data/sources.smoke.yaml")
ARRIVALS = Path("arrivals")
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class House:
    """A working copy in which the services are up, and what Prefect's server says."""

    def __init__(self, road: WorkingCopy) -> None:
        self.road = road
        output = road.run("flows.cli.main", "up")
        address = re.search(r"^Prefect .*?(http://\S+)/runs$", output, re.MULTILINE)
        assert address, output
        self._api = f"{address[1]}/api"

    def ask(self, what: str, **query: Any) -> Any:
        return prefect_api.ask(self._api, "POST", f"/{what}/filter", query)

    def start(self, deployment: str, **parameters: object) -> None:
        """Start a deployment, as its form in the pages does."""
        given = [f"--param={name}={json.dumps(value)}" for name, value in parameters.items()]
        environment = f"PREFECT_API_URL={self._api}"
        subprocess.run(
            ["env", environment, "python", "-m", "prefect", "deployment", "run", deployment, *given],
            cwd=self.road.folder,
            check=True,
            capture_output=True,
            text=True,
        )

    def run_of(self, flow: str, name: str) -> dict[str, Any]:
        """The run of a flow whose name matches, once it is over."""

        def look() -> list[dict[str, Any]]:
            runs = self.ask("flow_runs", flows={"name": {"any_": [flow]}})
            return [run for run in runs if re.fullmatch(name, run["name"])]

        runs = wait_until(look, lambda runs: any(run["state_type"] in OVER for run in runs), seconds=900, every=0.5)
        assert runs, f"no run of {flow} is named like {name}"
        return dict(runs[0])

    def stages(self, run: dict[str, Any]) -> dict[str, str]:
        """The last states of the stages of a run that is over, by their names; the server is told late."""

        def look() -> dict[str, str]:
            found = self.ask("task_runs", flow_runs={"id": {"any_": [run["id"]]}})
            return {task["name"]: task["state_name"] for task in found}

        return wait_until(look, lambda states: states.get("keep") == "Completed")

    def artifacts(self, run: dict[str, Any]) -> dict[str, str]:
        found = self.ask("artifacts", flow_runs={"id": {"any_": [run["id"]]}})
        return {artifact["key"]: str(artifact["data"]) for artifact in found}


@pytest.fixture(scope="module")
def house(finished: tuple[WorkingCopy, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """With a champion, a source whose files can change, and a person who has to approve."""
    road = copy(finished[0].folder, tmp_path_factory.mktemp("operations") / "lmforge")
    folder = road.folder
    _arrive(road, "first", 40)
    catalog = YAML(typ="safe").load(folder / CATALOG)
    english = next(source for source in catalog["sources"] if source["name"] == "english")
    catalog["sources"].append({**english, "name": "notes", "files": [{"path": f"{ARRIVALS}/*.jsonl"}]})
    YAML().dump(catalog, folder / CATALOG)
    (folder / ".gitignore").open("a").write(f"/{ARRIVALS}/\n")
    road.change("params.yaml", "approval: none", "approval: required")
    road.change("params.yaml", "watch_minutes: 1", "watch_minutes: 1000")  # the test looks when it wants to
    road.change("params.yaml", "steps: 30", "steps: 90")  # so that the next model is better
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "A source that grows")
    house = House(road)
    yield house
    road.run("flows.cli.main", "down")


def _arrive(road: WorkingCopy, name: str, rows: int) -> None:
    """Put a file of documents where the source `notes` looks for them."""
    (road.folder / ARRIVALS).mkdir(exist_ok=True)
    words = ["river", "mountain", "island", "valley", "desert", "king", "war", "treaty", "empire", "revolt"]
    lines = [
        {"text": f"Note {row} of {name}. " + " ".join(f"The {word} crosses the old town {row}." for word in words)}
        for row in range(rows)
    ]
    (road.folder / ARRIVALS / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_new_data_become_a_champion(house: House) -> None:
    _arrive(house.road, "second", 80)
    before = house.road.record(), _status(house.road)

    house.start("watch-data/watch-data")
    watch = house.run_of("watch-data", "watch")
    assert watch["state_type"] == "COMPLETED"
    assert re.search(r"tokens in notes, .*a training run is requested$", watch["state"]["message"]), watch["state"]

    train = house.run_of("train", r"data: \+[\d,]+ tokens")
    assert train["state_type"] == "COMPLETED", train["state"]
    assert "version 2 waits for approval" in train["state"]["message"]
    stages = house.stages(train)
    assert {stages[name] for name in ("ingest", "validate@raw", "pretrain", "package@assistant", "gate assistant")} == {
        "Completed"
    }
    artifacts = house.artifacts(train)
    models = {f"{kind}-assistant" for kind in ("scores", "gate", "links")}
    assert set(artifacts) >= {"decision", "plan", "validation-raw", "validation-prepared", *models}
    assert "notes" in artifacts["plan"] or "listing" in artifacts["plan"]
    for address in re.findall(r"\]\((http://[^)]+)\)", artifacts["links-assistant"] + artifacts["validation-raw"]):
        assert requests.get(address, timeout=30).ok, address
    assert "reports/report-assistant.html" in artifacts["links-assistant"]
    assert (house.road.record(), _status(house.road)) == before, "the main tree was touched"
    branches = git_output(house.road, "branch", "--list", "runs/*")
    assert re.search(r"runs/\d{4}-\d\d-\d\d-[0-9a-f]{8}", branches), branches

    house.start("promote/promote", version=2, by="Ann", reason="the notes read well")
    promotion = house.run_of("promote", "promote assistant version 2: approved by Ann")
    assert promotion["state"]["name"] == "Promoted", promotion["state"]
    ledger = house.road.run("flows.cli.main", "ledger")
    assert re.search(r"promotion +version 1 -> 2 +Ann", ledger), ledger
    house.road.run("flows.cli.main", "ledger", "verify")
    assert "version 2" in house.road.run("flows.cli.main", "status")


def test_what_sets_the_two_versions_apart(house: House) -> None:
    found = house.road.ask("diff", "1", "2")
    assert [commit.split(" ", 1)[1] for commit in found["code"]["commits"]] == ["A source that grows"]
    assert {"name": "pretrain.optimization.steps", "old": 30, "new": 90} in found["settings"]
    documents, examples = found["data"]
    assert (documents["problem"], examples["problem"]) == ("", "")
    assert documents["moved"]["notes"]["added"]["count"] > 0
    assert [change["name"] for change in found["sources"]] == ["notes"]
    bits = found["scores"][0]
    assert bits["change"]["low"] <= bits["change"]["value"] <= bits["change"]["high"]
    assert bits["shared"] > 0


def test_then_nothing_is_new(house: House) -> None:
    house.start("watch-data/watch-data")
    runs = wait_until(
        lambda: house.ask(
            "flow_runs",
            flows={"name": {"any_": ["watch-data"]}},
            flow_runs={"state": {"type": {"any_": sorted(OVER)}}},
            sort="START_TIME_DESC",
        ),
        lambda runs: len(runs) > 1,
        seconds=120,
    )
    assert runs[0]["state"]["message"].startswith("nothing new since lmforge-assistant version 2"), runs[0]["state"]


def _status(road: WorkingCopy) -> str:
    return git_output(road, "status", "--porcelain")


def git_output(road: WorkingCopy, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=road.folder, check=True, capture_output=True, text=True).stdout
