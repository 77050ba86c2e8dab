"""The bytes of a file without their compression, and its text without its encoding.

A compression is told by the first bytes of a file, whatever its name.
docs/decisions.md, "Encodings are detected among those of the source's languages"
"""

import bz2
import codecs
import gzip
import io
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, TextIO

import charset_normalizer
from backports import zstd

from components.core.errors import BadData, BadSettings
from components.data.sources.datafile import DataFile

MAGIC: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),  # type: ignore[dict-item, return-value]  # it reads like one
    b"\x28\xb5\x2f\xfd": zstd.ZstdFile,  # type: ignore[dict-item]  # it reads like one
    b"BZh": bz2.BZ2File,  # type: ignore[dict-item]  # it reads like one
    b"\xfd7zXZ\x00": lzma.LZMAFile,  # type: ignore[dict-item]  # it reads like one
}
SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError)
"""What the decompressors raise."""

MAX_RATIO = 200  # a text has some 3 to 20 bytes for each of its compressed ones
HARMLESS = 100_000_000  # bytes, up to which any ratio is

SAMPLE = 1 << 18  # bytes that decide the encoding
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
LEGACY = {
    ("zh",): ["gb18030", "big5hkscs"],
    ("ja",): ["cp932", "euc_jp", "iso2022_jp"],
    ("ko",): ["cp949", "johab"],
    ("ru", "uk", "be", "bg", "sr", "mk"): ["cp1251", "koi8_r", "cp866"],
    ("pl", "cs", "sk", "hu", "sl", "hr", "ro"): ["cp1250", "iso8859_2"],
    ("el",): ["cp1253"],
    ("tr",): ["cp1254"],
    ("he",): ["cp1255"],
    ("ar", "fa", "ur"): ["cp1256"],
    ("et", "lv", "lt"): ["cp1257"],
    ("vi",): ["cp1258"],
    ("th",): ["cp874"],
}
"""Languages -> the encodings that their texts had before UTF-8; all others had those of WESTERN."""
WESTERN = ["cp1252", "mac_roman"]


class _Counted(io.RawIOBase):
    """A decompressed stream that ends in `BadData` when far more comes out of it than was put in."""

    def __init__(self, stream: BinaryIO, file: DataFile) -> None:
        self._stream, self._file, self._read = stream, file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # a buffer of bytes
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._read += len(piece)
        check_ratio(self._file.shown, self._read, self._file.size)
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()


def check_ratio(name: str, unpacked: int, packed: int) -> None:
    """Raise `BadData` when a compressed file unpacks to what no text would."""
    if unpacked > max(HARMLESS, MAX_RATIO * packed):
        raise BadData(
            f"{name}: unpacks to more than {MAX_RATIO} times its {packed:,} bytes, as no text does: take it out, or "
            "unpack it yourself"
        )


@contextmanager
def content(file: DataFile) -> Iterator[BinaryIO]:
    """The bytes of a file without their compression. Raises `BadData` for a damaged one."""
    with file.open() as raw:
        head = raw.read(6)
        raw.seek(0)
        unpack = next((unpack for magic, unpack in MAGIC.items() if head.startswith(magic)), None)
        try:
            yield io.BufferedReader(_Counted(unpack(raw), file), SAMPLE) if unpack else raw
        except DAMAGED as error:
            raise BadData(f"{file.shown}: {_damage(error, head)}") from None


def _damage(error: Exception, head: bytes) -> str:
    if isinstance(error, EOFError):
        return "cut off: its compressed data have no end; copy or fetch it again"
    if "Not a gzipped file" in str(error) and head.startswith(b"\x1f\x8b"):
        return "other bytes follow its gzip data, which is a damaged or a joined file: make it anew"
    return f"damaged: {error}; copy or fetch it again"


@contextmanager
def seekable(file: DataFile) -> Iterator[BinaryIO]:
    """The same for what is not read from front to back: a compressed file is unpacked to an unnamed one."""
    with content(file) as stream:
        if stream.seekable():
            yield stream
            return
        with tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(stream, unpacked, SAMPLE)
            unpacked.seek(0)
            yield unpacked


def whole(file: DataFile) -> bytes:
    """All bytes of a file without their compression."""
    with content(file) as stream:
        return stream.read()


def decoded(file: DataFile) -> str:
    """The whole text of a file, its line ends as \\n; bytes that do not fit its encoding as surrogates."""
    with opened(file) as stream:
        return stream.read()


@contextmanager
def opened(file: DataFile, newline: str | None = None) -> Iterator[TextIO]:
    """The text of a file; bytes that do not fit its encoding become surrogates. `newline` is that of `open`."""
    with content(file) as stream:
        sample = stream.read(SAMPLE)
    encoding = file.options.encoding or detected(sample, file)
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise BadSettings(f"{file.shown}: `encoding` is {encoding!r}, which is none that Python knows") from None
    with content(file) as stream:
        text = io.TextIOWrapper(stream, encoding, "surrogateescape", newline)
        try:
            yield text
        except UnicodeError as error:
            raise BadData(f"{file.shown}: not {encoding}: {error}; name its `encoding`") from None


def undecodable(text: str) -> str | None:
    """Why a text cannot be stored: bytes that did not fit the encoding, or halves of surrogate pairs; else None."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return f"the byte 0x{code - 0xDC00:02x} does not fit the encoding of the file"
        return f"half of a surrogate pair (\\u{code:04x}), which is no character"
    return None


def detected(sample: bytes, file: DataFile) -> str:
    """The encoding of a file by its first bytes: UTF, or an older one of its languages. Raises `BadData`."""
    marked = next((encoding for bom, encoding in BOMS.items() if sample.startswith(bom)), None) or _wide(sample)
    if marked:
        return marked
    if _mostly_utf8(sample):
        return "utf-8"
    known = sorted({encoding for language in file.languages for encoding in _legacy(language)} | set(WESTERN))
    best = charset_normalizer.from_bytes(sample[: sample.rfind(b"\n") + 1] or sample, cp_isolation=known).best()
    if best is None:
        raise BadData(f"{file.shown}: its encoding is not clear, and not UTF-8: name it as `encoding` of the source")
    file.note(f"read as {best.encoding}")
    return best.encoding


def _legacy(language: str) -> list[str]:
    return next((found for languages, found in LEGACY.items() if language in languages), WESTERN)


def _wide(sample: bytes) -> str | None:
    """UTF-16 without a byte order mark: text that is mostly Latin has every other byte zero."""
    pairs = len(sample) // 2
    for encoding, zeros in ("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2]):
        if pairs > 1 and zeros.count(0) > 0.4 * pairs and sample.count(0) < 1.2 * zeros.count(0):
            return encoding
    return None


def _mostly_utf8(sample: bytes) -> bool:
    """Whether most of the lines that are not ASCII are UTF-8: a few others are bad rows, not another encoding."""
    lines = [line for line in sample.splitlines() if not line.isascii()]
    whole = lines[:-1] if len(sample) == SAMPLE and len(lines) > 1 else lines  # the last may be cut
    return 2 * sum(map(_is_utf8, whole)) >= len(whole)


def _is_utf8(line: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(line)
    except UnicodeDecodeError:
        return False
    return True
