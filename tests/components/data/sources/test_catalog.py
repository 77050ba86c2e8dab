"""The catalogue of sources."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core.errors import BadSettings
from components.data.sources import catalog
from components.data.sources.package import PackageSource, _parser
from tests.support import corpus

ROOT = Path(__file__).parents[4]
NOTES = corpus.notes("notes.txt")


def write(folder: Path, *entries: dict[str, object]) -> Path:
    path = folder / "sources.yaml"
    with path.open("w") as file:
        YAML().dump({"sources": list(entries)}, file)
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "data").glob("sources*.yaml")), ids=lambda path: path.name)
def test_the_catalogues_of_the_repository_are_right(path: Path) -> None:
    for source in catalog.load(path):
        if isinstance(source, PackageSource) and source.parser is not None:
            _parser(source.parser, source.options, source.where)


def test_the_smoke_catalogue_has_the_pins_of_the_large_one() -> None:
    pins = {source.name: source for source in catalog.load(ROOT / "data" / "sources.yaml")}
    for source in catalog.load(ROOT / "data" / "sources.smoke.yaml"):
        large = pins[source.name]
        assert isinstance(source, PackageSource)
        assert isinstance(large, PackageSource)
        assert (source.filename, source.sha256, source.license) == (large.filename, large.sha256, large.license)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"licence": "MIT"}, r"sources.yaml: notes.licence is not a known setting; did you mean `license`?"),
        ({"kind": "file"}, r"sources.yaml: notes.kind is 'file': did you mean `files`?"),
        ({"files": [{"path": "a", "sha": "b"}]}, r"notes.files.0.sha is not a known setting; did you mean `sha256`?"),
        ({"files": [{"path": "a", "sha256": "b"}]}, r"notes.files.0.sha256 is 'b': .*64"),
        ({"cap_mb": 0}, r"notes.cap_mb is 0: .*greater than 0"),
        ({"yields": []}, r"notes.yields is \[\]: .*at least 1"),
    ],
)
def test_what_is_wrong_is_named_by_source_and_key(folder: Path, changes: dict[str, object], line: str) -> None:
    with pytest.raises(BadSettings, match=line):
        catalog.load(write(folder, NOTES | changes))


def test_two_sources_cannot_share_a_name(folder: Path) -> None:
    with pytest.raises(BadSettings, match="two sources have the name `notes`"):
        catalog.load(write(folder, NOTES, NOTES))


def test_a_catalogue_needs_sources_with_names(folder: Path) -> None:
    with pytest.raises(BadSettings, match="a source has no name"):
        catalog.load(write(folder, {"kind": "files"}))
    with pytest.raises(BadSettings, match="needs a list `sources`"):
        catalog.load(write(folder))
