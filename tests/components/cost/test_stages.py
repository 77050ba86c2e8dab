"""How much the stages around the trainings have to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.core import params
from components.cost import stages
from components.data.sources import catalog
from components.evaluation.settings import Evaluate

ROOT = Path(__file__).parents[3]


def test_a_capped_corpus_takes_less() -> None:
    large, small = (
        stages.of_text(catalog.load(ROOT / "data" / name)) for name in ("sources.yaml", "sources.smoke.yaml")
    )
    assert all(small[name] < large[name] for name in large.keys() - {"start"})  # which reads no text
    assert small["prepare"] == pytest.approx(4 + 0.5 * 1.7)


def test_files_of_this_machine_count_by_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_bytes(b"a" * 8_000_000)
    (tmp_path / "sources.yaml").write_text(
        "sources: [{name: mine, kind: files, license: MIT, languages: [en], yields: [documents], "
        "files: [{path: '*.txt'}], documents: {text: text}}]"
    )
    sources = catalog.load(tmp_path / "sources.yaml")
    assert stages.of_text(sources)["prepare"] == 4 + 0.5 * 8
    capped = [replace(source, cap_mb=2) for source in sources]
    assert stages.of_text(capped)["prepare"] == 4 + 0.5 * 2


def test_more_examples_are_more_to_read() -> None:
    settings = params.read("evaluate", Evaluate, ROOT / "params.yaml")
    sources = catalog.load(ROOT / "data/sources.yaml")
    less = stages.tokens_to_evaluate(replace(settings, max_examples=100), 96, sources)
    assert less < stages.tokens_to_evaluate(settings, 96, sources)
