"""Progress without a terminal: plain lines, and the file that a flow watches."""

import json
from pathlib import Path

import pytest

from components.core import progress


def test_the_file_says_how_far_and_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "FILE_EVERY", 0.0)
    file = tmp_path / ".lmforge/progress/demo.json"
    with progress.Progress("demo", 10, "steps", start=4) as bar:
        bar.advance(2, loss="3.1")
        first = json.loads(file.read_text())
        assert (first["done"], first["total"], first["unit"]) == (6, 10, "steps")
        assert first["figures"] == {"loss": "3.1"}
        assert (first["rate"], first["eta"]) == (None, None), "one step says nothing of the next: it may have compiled"
        bar.advance()
        second = json.loads(file.read_text())
        assert second["eta"] == pytest.approx(3 / second["rate"])
    assert not file.exists()


def test_lines_stand_in_for_the_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    assert list(progress.track("abc", "demo", 3, "letters")) == ["a", "b", "c"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == "1/3 letters"
    assert lines[-1].startswith("3/3 letters, ")
    assert lines[-1].endswith("/s, ETA 0:00:00")


def test_a_line_reads_well() -> None:
    figures = {"loss": "3.123", "tokens/s": "11,500", "share of peak": "43%"}
    state = progress.ProgressState(done=120, total=560, unit="steps", rate=2.316, eta=190.0, figures=figures)
    line = "120/560 steps, 2.32/s, ETA 0:03:10; loss 3.123, tokens/s 11,500, share of peak 43%"
    assert progress._line(state) == line
