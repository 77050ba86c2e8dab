"""Progress without a terminal: plain lines, and the file that a flow watches."""

import json
from pathlib import Path

import pytest

from components import progress


def test_the_file_says_how_far_and_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "FILE_EVERY", 0.0)
    file = tmp_path / ".lmforge/progress/demo.json"
    with progress.Progress("demo", 10, "steps", start=4) as bar:
        bar.advance(2, loss="3.1")
        state = json.loads(file.read_text())
        assert (state["done"], state["total"], state["unit"]) == (6, 10, "steps")
        assert state["figures"] == {"loss": "3.1"}
        assert state["eta"] == pytest.approx(4 / state["rate"])
    assert not file.exists()


def test_lines_stand_in_for_the_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    assert list(progress.track("abc", "demo", 3, "letters")) == ["a", "b", "c"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[-1].startswith("3/3 letters")
