"""The registry of the real MLflow: the same weights once, aliases in the right order, packages that come back."""

import filecmp
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from components import tracking
from components.core.errors import BadData, BadSettings
from components.model import folder
from components.registry import store
from components.registry.ledger import Head
from tests.components.support import tiny

TAGS = {"git_commit": "0123abc", "data_md5": "f00.dir"}

pytestmark = pytest.mark.usefixtures("mlflow_store")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, tiny_reports: Path, tiny_data: Path) -> list[Path]:
    """Packages of three models that differ in their weights."""
    folder = tmp_path_factory.mktemp("three")
    return [
        tiny.make_package(
            folder / f"package_{seed}", tiny.make_model(folder / f"model_{seed}", seed), tiny_reports, tiny_data
        )
        for seed in range(3)
    ]


@pytest.fixture(scope="module")
def three(packages: list[Path], migrated_store: str) -> Iterator[str]:
    """A registered model with three versions, whose aliases one test moves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", migrated_store)
        for package in packages:
            store.register(package, "three", TAGS)
        yield "three"


def test_the_same_weights_are_registered_once(packages: list[Path], tmp_path: Path) -> None:
    first = store.register(packages[0], "once", TAGS)
    assert (first.name, first.number, first.digest) == ("once", 1, store.digest(packages[0]))
    reworded = shutil.copytree(packages[0], tmp_path / "reworded")
    (reworded / "README.md").write_text("other words")
    assert store.register(reworded, "once", TAGS) == first
    assert store.find("once", "1") == first
    assert store.notes(first) == {**TAGS, "digest": first.digest}


def test_what_was_kept_of_the_lineage_comes_back(
    packages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = store.register(packages[2], "kept", TAGS)
    with pytest.raises(BadData, match="kept version 1 was registered without its lineage"):
        store.kept(first)
    for content in (b"stages", b"other stages of the same weights"):
        assert store.register(packages[2], "kept", TAGS, {"dvc.lock": content}) == first
    assert (store.kept(first) / "dvc.lock").read_bytes() == b"stages"
    second = store.register(packages[1], "kept", TAGS, {"dvc.lock": b"its own"})
    assert (store.kept(second) / "dvc.lock").read_bytes() == b"its own"
    assert store.versions("kept") == [first, second]
    assert (store.fetch("kept", "1") / "config.json").exists()


def test_the_model_hangs_on_the_run_that_trained_it(
    packages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with tracking.start("finetune@assistant", "b" * 64, {}):
        pass
    run_id = tracking.find("b" * 64)
    before = tracking.client().get_run(run_id).info.end_time
    version = store.register(packages[0], "linked", {**TAGS, "stage_key": "b" * 64})
    found = tracking.client().get_model_version("linked", str(version.number))
    assert found.run_id == run_id
    after = tracking.client().get_run(run_id)
    assert after.info.end_time == before
    (output,) = after.outputs.model_outputs
    model = tracking.client().get_logged_model(output.model_id)
    assert (model.source_run_id, model.status) == (run_id, "READY")
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "linked", "version": 1}]
    assert found.source == model.artifact_location


def test_a_model_of_an_unknown_run_gets_one_of_its_own(packages: list[Path]) -> None:
    store.register(packages[0], "unlinked", {**TAGS, "stage_key": "c" * 64})
    found = tracking.client().get_model_version("unlinked", "1")
    assert tracking.client().get_run(found.run_id).info.status == "FINISHED"


def test_aliases_are_moved_and_taken_away(three: str) -> None:
    assert store.aliases(three) == {}
    store.move(three, {"champion": 1, "previous": None, "challenger": 2})
    assert store.aliases(three) == {"champion": 1, "challenger": 2}
    store.move(three, {"champion": 2, "previous": 1, "challenger": None})
    assert store.aliases(three) == {"champion": 2, "previous": 1}
    assert store.exists(three, 3)
    assert not store.exists(three, 4)
    assert not store.exists("nobody", 1)


def test_the_registry_knows_the_head_of_the_ledger(three: str) -> None:
    assert store.head(three) is None
    assert store.head("nobody") is None
    store.set_head(three, Head(7, "f" * 64))
    assert store.head(three) == Head(7, "f" * 64)
    assert tracking.client().get_registered_model(three).tags["ledger_head"] == f"7 {'f' * 64}"


def test_files_can_be_added_to_a_version(packages: list[Path], tmp_path: Path) -> None:
    version = store.register(packages[0], "attached", TAGS)
    (tmp_path / "decision.json").write_text("{}")
    store.attach(version, tmp_path, "decisions/first")
    source = tracking.client().get_model_version("attached", "1").source
    assert (Path(source.removeprefix("file://")) / "decisions/first/decision.json").read_text() == "{}"


def test_a_package_comes_back_as_it_went_in(
    packages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    version = store.register(packages[1], "fetched", TAGS)
    store.move("fetched", {"champion": version.number, "previous": None, "challenger": None})
    fetched = store.fetch("fetched", "champion")
    files = sorted(path.name for path in packages[1].iterdir())
    assert sorted(path.name for path in fetched.iterdir()) == files
    assert filecmp.cmpfiles(fetched, packages[1], files, shallow=False)[0] == files
    assert store.fetch("fetched", "1") == fetched


def test_an_adapter_comes_back_with_its_base(
    tiny_reports: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tiny.make_model(tmp_path / "model", seed=0, kind="adapter")
    version = store.register(tiny.make_package(tmp_path / "package", model, tiny_reports, tiny_data), "adapted", TAGS)
    found = store.fetch("adapted", "1")
    assert folder.base(found) == found / "base"
    for file in ("base/model.safetensors", "adapter_model.safetensors", "adapter_config.json"):
        content = (found / file).read_bytes()
        (found / file).write_bytes(content + b" ")
        assert store.digest(found) != version.digest
        (found / file).write_bytes(content)
    assert store.digest(found) == version.digest


def test_a_package_that_changed_in_the_registry_is_refused(
    packages: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.register(packages[1], "changed", TAGS)
    location = tracking.client().get_model_version("changed", "1").source.removeprefix("file://")
    (Path(location) / "artifacts" / "config.json").write_text("{}")
    with pytest.raises(BadData, match="changed 1 came out of the registry changed"):
        store.fetch("changed", "1")


def test_an_unknown_model_has_no_aliases() -> None:
    assert store.aliases("nobody") == {}
    with pytest.raises(BadSettings, match="the registry has no nobody champion; it has no alias yet"):
        store.find("nobody", "champion")


def test_a_copied_folder_has_its_own_store(
    packages: list[Path], migrated_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, copy = tmp_path / "original", tmp_path / "复制 copy"
    shutil.copytree(Path(migrated_store.removeprefix(tracking.SQLITE)).parent, original)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{tracking.SQLITE}{original}/mlflow.db")
    first = store.register(packages[0], "copied", TAGS)
    store.move("copied", {store.CHAMPION: 1, store.PREVIOUS: None, store.CHALLENGER: None})
    before = content(original)

    shutil.copytree(original, copy)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{tracking.SQLITE}{copy}/mlflow.db")
    store.attach(store.register(packages[1], "copied", TAGS), packages[1], "more")
    assert content(original) == before
    shutil.rmtree(original)
    assert store.digest(store.fetch("copied", store.CHAMPION)) == first.digest
    assert not original.exists()
    assert mentions(copy / "mlflow.db", original.as_uri()) == []


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mentions(database: Path, text: str) -> list[str]:
    """The columns of a database with a value that has a text in it."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
        return [
            f"{table}.{column}"
            for table, column in columns
            if connection.execute(f'SELECT 1 FROM "{table}" WHERE "{column}" LIKE ?', (f"%{text}%",)).fetchone()
        ]
