"""Files of rows inside archives; what no archive of texts does is refused."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from components.core.errors import BadData, BadSettings
from components.data.sources import streams
from tests.components.data.support.files import read, source, texts

FILES = {"b/two.JSONL": b'{"text": "two"}\n', "a.txt": b"one", "LICENCE": b"MIT", "picture.png": b"\x89PNG"}


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz", links: dict[str, str] | None = None) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]  # a mode by its name
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", zipped(FILES)),
        ("A.ZIP", zipped(FILES)),
        ("a.tar", tarred(FILES, "w:")),
        ("a.tar.gz", tarred(FILES)),
        ("a.tgz", tarred(FILES)),
        ("a.tar.bz2", tarred(FILES, "w:bz2")),
        ("a.tar.xz", tarred(FILES, "w:xz")),
    ],
)
def test_the_members_with_known_endings_are_read(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert [record[:2] for record in read(source(name))] == [
        (f"{name}/a.txt:1", "one"),
        (f"{name}/b/two.JSONL:1", "two"),
    ]
    assert texts(name, members="b/*") == ["two"]


def test_a_pattern_of_members_that_fits_none_is_told(folder: Path) -> None:
    (folder / "a.zip").write_bytes(zipped(FILES))
    with pytest.raises(BadSettings, match=r"a.zip holds no file like `c/\*`"):
        texts("a.zip", members="c/*")


def test_links_are_not_followed(folder: Path) -> None:
    (folder / "secret.txt").write_text("a secret")
    (folder / "a.tar.gz").write_bytes(tarred({"a.txt": b"one"}, links={"b.txt": str(folder / "secret.txt")}))
    assert texts("a.tar.gz") == ["one"]
    link = zipfile.ZipInfo("b.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr(link, str(folder / "secret.txt"))
        archive.writestr("a.txt", "one")
    assert texts("a.zip") == ["one"]


@pytest.mark.parametrize("member", ["../a.txt", "/etc/a.txt", "b/../../a.txt", "..\\a.txt"])
def test_a_path_out_of_the_archive_is_refused(folder: Path, member: str) -> None:
    (folder / "a.zip").write_bytes(zipped({member: b"one"}))
    (folder / "a.tar.gz").write_bytes(tarred({member: b"one"}))
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(BadData, match=rf"{name}: its member .* leads out of the archive"):
            texts(name)


def test_a_bomb_is_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HARMLESS", 10_000)
    zeros = bytes(3_000_000)
    (folder / "a.zip").write_bytes(zipped({"a.txt": zeros}))
    (folder / "a.tar.gz").write_bytes(tarred({"a.txt": zeros}))
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(BadData, match=rf"{name}: unpacks to more than 200 times its .* bytes, as no text does"):
            texts(name)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.zip", b"no zip", r"a.zip is not a readable archive: File is not a zip file"),
        ("a.zip", zipped(FILES)[:-40], r"a.zip is not a readable archive"),
        ("a.tar", b"no tar" * 100, r"a.tar is not a readable archive"),
        ("a.tar.gz", tarred(FILES)[:-20], r"a.tar.gz: cut off"),
        ("a.tar", tarred(FILES, "w:")[:700], r"a.tar"),
    ],
)
def test_a_damaged_archive_is_named(folder: Path, name: str, content: bytes, line: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(BadData, match=line):
        texts(name)


def test_a_damaged_member_is_named(folder: Path) -> None:
    content = bytearray(zipped({"a.txt": b"one two three four"}, zipfile.ZIP_STORED))
    content[40] ^= 1
    (folder / "a.zip").write_bytes(content)
    with pytest.raises(BadData, match=r"a.zip: its member a.txt is not readable: Bad CRC-32"):
        texts("a.zip")
