"""The rules for the files of sources: what is too old or has drifted warns or blocks, by name."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.core.errors import BadData, BadSettings
from components.data import listing
from components.registry import store
from flows.retraining import new_data, source_rules
from tests.flows.support.registry import MODEL
from tests.flows.support.retraining import add, write


@pytest.fixture
def folder(registry: Path) -> Path:
    """A folder with a source of files, of which the first was trained on by the champion."""
    write(registry)
    add(registry, "first", 1000)
    listing.refresh()
    new_data.note_trained(store.Version(MODEL, store.aliases(MODEL)[store.CHAMPION], "00", datetime.now(UTC)))
    return registry


def rules(*changes: dict[str, Any]) -> None:
    yaml, path = YAML(), Path("params.yaml")
    content = yaml.load(path)
    content["source_rules"] = [{"source": "notes", "severity": "warn"} | change for change in changes]
    yaml.dump(content, path)


def age(folder: Path, days: float) -> None:
    for path in listing.read()["notes"]:
        written = datetime.now(UTC).timestamp() - days * source_rules.DAY
        os.utime(folder / path, (written, written))


def test_a_source_is_as_old_as_its_newest_file(folder: Path) -> None:
    age(folder, 9)
    rules({"max_age_days": 7.0})
    (line,) = source_rules.check(listing.refresh())
    assert line == "the newest file of `notes` is 9.0 days old, and max_age_days is 7"
    assert source_rules.known()[0]["source"] == "notes"
    add(folder, "second", 10)
    assert source_rules.check(listing.refresh()) == []


def test_a_rule_that_blocks_ends_the_run_with_code_3(folder: Path) -> None:
    age(folder, 9)
    rules({"max_age_days": 7.0, "severity": "block"}, {"max_age_days": 1.0})
    with pytest.raises(BadData, match=r"^source_rules: the newest file of `notes` is 9.0 days old, .* is 7$"):
        source_rules.check(listing.refresh())
    assert [str(broken).partition(":")[0] for broken in source_rules.broken(listing.read())] == ["block", "warn"]


def test_drift_is_that_of_the_source(folder: Path) -> None:
    rules({"max_drift": 0.2})
    assert source_rules.check(listing.refresh()) == []
    for number in range(60):
        add(folder, f"short{number}", 4)
    (line,) = source_rules.check(listing.refresh())
    assert line.startswith("`notes` drifted by ")
    assert line.endswith(" in length from the champion's data, and max_drift is 0.2")


@pytest.mark.usefixtures("folder")
def test_a_rule_of_no_source_is_refused() -> None:
    rules({"source": "note", "max_drift": 0.2})
    with pytest.raises(BadSettings, match="there is no source `note` in use; did you mean `notes`"):
        source_rules.broken(listing.refresh())
