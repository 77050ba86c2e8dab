"""The roads that params.yaml can ask for, beside the whole one: documents alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.integration.support.working_copy import WorkingCopy, copy

pytestmark = pytest.mark.services

Settings = dict[str, Any]


def change(road: WorkingCopy, edit: Callable[[Settings], None]) -> None:
    """Edit the settings of a working copy."""
    path, yaml = road.folder / "params.yaml", YAML(typ="safe")
    settings = yaml.load(path)
    edit(settings)
    yaml.dump(settings, path)


def test_documents_alone_end_in_a_base_that_continues_text(fresh: Path, tmp_path: Path) -> None:
    def documents_only(settings: Settings) -> None:
        del settings["finetune"]
        settings["ingest"]["take"] = ["documents"]

    road = copy(fresh, tmp_path / "lmforge")
    change(road, documents_only)
    output = road.run("flows.cli.main", "run")
    assert "lmforge-base version 1 (@champion)" in output, output
    assert "bits per byte, sources equal" in output
    assert "finetune" not in output
    assert "</html>" in (road.folder / "reports/report-base.html").read_text(encoding="utf-8")
    assert road.run("flows.cli.main", "chat", "The river crosses").strip()
