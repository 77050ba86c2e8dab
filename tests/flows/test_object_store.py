"""A real S3 server as a source of text, and as the remote of DVC."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs
import yaml
from typer.testing import CliRunner

from components.core.errors import BadData, BadSettings, StageError, TryAgain
from components.data.sources import catalog, remote
from components.data.sources.files import FilesSource
from components.data.sources.remote import DOWNLOADS, PIECE
from components.stages import ingest
from flows.cli import data
from flows.dvc import graph
from tests.components.data.support.files import read, source
from tests.flows.support import toy
from tests.flows.support.running import REPOSITORY
from tests.support.object_store import GUEST, OWNER, Line, server

pytestmark = pytest.mark.xdist_group("object store")
ROWS = [f"row {number} " + "x" * 100_000 for number in range(180)]  # two pieces and a bit
CONTENT = "".join(json.dumps({"text": row}) + "\n" for row in ROWS).encode()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("store")) as address:
        files = s3fs.S3FileSystem(
            key=OWNER["AWS_ACCESS_KEY_ID"], secret=OWNER["AWS_SECRET_ACCESS_KEY"], endpoint_url=address
        )
        files.mkdir("bucket")
        files.pipe("bucket/texts/a.jsonl", CONTENT)
        yield address


@pytest.fixture(autouse=True)
def _as_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "HOME": str(tmp_path)}
    for name, value in {**OWNER, **settings}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def files(store: str) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(endpoint_url=store)


def at(endpoint: str, name: str = "bucket/texts/a.jsonl", **changes: Any) -> FilesSource:
    pin = {} if "etag" in changes or "sha256" in changes else {"etag": "unknown"}
    pin |= {key: changes.pop(key) for key in ("etag", "sha256") if key in changes}
    options = {"endpoint_url": endpoint} | changes
    return source("", files=[{"path": f"s3://{name}", **pin}], storage_options=options)


def etag(endpoint: str, name: str = "bucket/texts/a.jsonl") -> str:
    (found,) = remote.pinned(f"s3://{name}", {"endpoint_url": endpoint}, "x")
    return found["etag"]


def test_an_object_is_added_by_the_command_and_ingested(store: str, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    for path in (REPOSITORY / "data").glob("*.yaml"):
        shutil.copy(path, tmp_path / "data")
    added = CliRunner().invoke(
        data.app,
        ["add", "s3://bucket/texts/a.jsonl", "--storage", f"endpoint_url={store}", "--language", "en", "--yes"],
    )
    assert added.exception is None, added.output
    assert "secret-of" not in added.output + (tmp_path / "data/sources.yaml").read_text()
    made = catalog.load(tmp_path / "data/sources.yaml")[-1]
    assert isinstance(made, FilesSource)
    assert (made.files[0].etag, made.storage_options) == (etag(store), {"endpoint_url": store})
    ingest.ingest([made], {}, tmp_path / "raw", 0)
    assert len(read(made)) == len(ROWS)


def test_a_download_whose_connection_was_cut_goes_on_where_it_was(store: str) -> None:
    line = Line(store)
    made = at(line.address, etag=etag(line.address))
    line.left = PIECE + PIECE // 2
    with pytest.raises(TryAgain, match=r"a.jsonl broke off, run again"):
        read(made)
    (part,) = DOWNLOADS.rglob("*.part")
    assert part.stat().st_size == PIECE
    line.left, line.passed = None, 0
    assert [record.text for record in read(made)] == ROWS  # type: ignore[union-attr]  # documents
    assert line.passed < len(CONTENT) - PIECE + 100_000
    line.close()


@pytest.mark.parametrize("address", ["s3://bucket/many", "s3://bucket/many/*.jsonl", "s3://bucket/m*/**"])
def test_the_objects_of_a_folder_or_a_pattern_are_named_one_by_one(
    store: str, files: s3fs.S3FileSystem, address: str
) -> None:
    for name in "ba":
        files.pipe(f"bucket/many/{name}.jsonl", b'{"text": "%s"}\n' % name.encode())
    found = remote.pinned(address, {"endpoint_url": store}, "x")
    assert [file["path"] for file in found] == ["s3://bucket/many/a.jsonl", "s3://bucket/many/b.jsonl"]
    made = source("", files=found, storage_options={"endpoint_url": store})
    assert [record.text for record in read(made)] == ["a", "b"]  # type: ignore[union-attr]  # documents
    with pytest.raises(BadSettings, match=r"x: there is no file s3://bucket/many/\*.csv"):
        remote.pinned("s3://bucket/many/*.csv", {"endpoint_url": store}, "x")


def test_an_object_that_changed_is_named(store: str, files: s3fs.S3FileSystem) -> None:
    name = "bucket/texts/b.jsonl"
    files.pipe(name, b'{"text": "one"}\n')
    pinned = etag(store, name)
    assert len(read(at(store, name, etag=pinned))) == 1
    shutil.rmtree(DOWNLOADS)
    files.pipe(name, b'{"text": "two"}\n')
    with pytest.raises(BadData, match=rf"s3://{name} has changed: it has the etag {etag(store, name)}, .* {pinned}"):
        read(at(store, name, etag=pinned))
    with pytest.raises(BadData, match=rf"s3://{name} has the sha256 .*, pinned is 0000"):
        read(at(store, name, sha256="0" * 64))
    assert [path for path in DOWNLOADS.rglob("*") if path.is_file()] == []


def test_an_object_that_changes_while_it_is_read_is_not_kept(
    store: str, files: s3fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "bucket/texts/c.jsonl"
    files.pipe(name, b'{"text": "one"}\n')
    made = at(store, name, etag=etag(store, name))
    pieces = remote.Remote.pieces

    def after_a_change(self: remote.Remote, start: int) -> Iterator[bytes]:
        files.pipe(name, b'{"text": "two"}\n')
        return pieces(self, start)

    monkeypatch.setattr(remote.Remote, "pieces", after_a_change)
    with pytest.raises(BadData, match="has changed"):
        read(made)
    assert [path for path in DOWNLOADS.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("name", "options", "keys", "kind", "line"),
    [
        ("bucket/texts/none.jsonl", {}, OWNER, BadSettings, "there is no file s3://bucket/texts/none.jsonl$"),
        ("no-bucket/a.jsonl", {}, OWNER, BadSettings, "there is no file .*: The specified bucket does not exist"),
        ("bucket/texts", {}, OWNER, BadSettings, "is a folder: `lmforge data add` names the files in it"),
        ("bucket/texts/a.jsonl", {}, GUEST, BadSettings, "may not be read: Forbidden: see that the credentials"),
        ("bucket/texts/a.jsonl", {}, {}, BadSettings, "may not be read: Unable to locate credentials"),
        ("bucket/texts/a.jsonl", {"profile": "none"}, OWNER, BadSettings, r"profile \(none\) could not be found"),
        ("bucket/texts/a.jsonl", {"anon": True}, {}, BadSettings, "may not be read: Forbidden"),
        ("bucket/texts/a.jsonl", {"endpoint_url": "localhost"}, OWNER, BadSettings, "Invalid endpoint: localhost"),
        ("bucket/texts/a.jsonl", {"endpoint_urls": "x"}, OWNER, BadSettings, "endpoint_urls"),
        ("bucket/texts/a.jsonl", {"secret": "abc"}, OWNER, BadSettings, "storage_options.secret is a secret"),
        ("me:abc@bucket/a.jsonl", {}, OWNER, BadSettings, "the address of bucket is a secret"),
    ],
)
def test_what_cannot_be_read_ends_in_one_line_without_secrets(
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: dict[str, Any],
    keys: dict[str, str],
    kind: type[StageError],
    line: str,
) -> None:
    for key in OWNER:
        monkeypatch.delenv(key)
    for key, value in keys.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(kind, match=line) as caught:
        read(at(store, name, **options))
    assert "\n" not in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("secret-of", "abc"))


def recorded(folder: Path) -> set[str]:
    """The md5 of the outs in `dvc.lock`."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {out["md5"] for stage in stages.values() for out in stage["outs"]}


def test_outs_are_pushed_to_a_bucket_and_pulled_into_a_clone(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main").mkdir()
    main = toy.make(tmp_path / "main")
    toy.dvc(main, "repro", "ingest")
    with (main / ".dvc/config").open("a") as config:
        config.write(
            f"    remote = store\n['remote \"store\"']\n    url = s3://bucket/outs\n    endpointurl = {store}\n"
        )
    monkeypatch.chdir(main)
    assert graph.push()
    for command in (["add", "-f", ".dvc/config", "dvc.lock", "dvc.yaml", "toy.py"], ["commit", "-qm", "outs"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *command], cwd=main, check=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(main), str(clone)], check=True)
    toy.dvc(clone, "pull", "ingest")
    assert (clone / "out/ingest.txt").read_text() == "ingest one"
    monkeypatch.chdir(clone)
    md5 = "0" * 32
    assert graph.in_remote([*recorded(main), md5]) == recorded(main)
    for key in OWNER:
        monkeypatch.delenv(key)
    with pytest.raises(
        TryAgain, match=r"^the DVC remote store does not say what it has: Unable to locate credentials$"
    ):
        graph.in_remote([md5])
    shutil.rmtree(clone / ".dvc/cache")
    shutil.rmtree(clone / "out")
    with pytest.raises(TryAgain, match=r"^the DVC remote store does not give out/ingest.txt: "):
        graph.pull("out/ingest.txt")
    (clone / ".dvc/config.local").write_text("['remote \"store\"']\n    url = s3://bucket/other\n")
    with pytest.raises(TryAgain, match=r"^the DVC remote store takes nothing: Unable to locate credentials$"):
        graph.push()
