"""Every format becomes rows, whatever its compression, encoding and line ends."""

import gzip
import io
import json
from email.message import EmailMessage
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastwarc.warc import WarcRecord, WarcRecordType

from components.core.errors import BadData
from components.data.sources.readers import format_of
from tests.components.data.support.files import read, rejected, source, texts

FRENCH = "Les élèves étaient très occupés à préparer l'été prochain. Où est passée la forêt ?\n"
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。\n"
RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах.\n"
PAGE = (
    "<html lang='en'><head><title>Tea</title></head><body><nav><a href='/'>Home</a></nav><main><p>"
    + "Boil the water and wait for it to cool a little. " * 5
    + "</p></main><script>go()</script></body></html>"
)


@pytest.mark.parametrize(
    ("text", "encoding", "language"),
    [
        ("Is this one read?\nIt is.\n", "utf-16-le", "en"),
        (CHINESE, "utf-8-sig", "zh"),
        (CHINESE, "utf-16", "zh"),
        (CHINESE, "utf-32", "zh"),
        (CHINESE, "gb18030", "zh"),
        ("人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心。", "big5", "zh"),
        (FRENCH, "latin-1", "fr"),
        (FRENCH, "mac_roman", "fr"),
        (RUSSIAN, "cp1251", "ru"),
        (RUSSIAN, "koi8_r", "ru"),
        ("すべての人間は、生まれながらにして自由であり、かつ、平等である。", "cp932", "ja"),
        ("Zażółć gęślą jaźń. Wszyscy ludzie rodzą się wolni i równi.", "iso8859_2", "pl"),
    ],
)
def test_the_encoding_is_detected(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, encoding: str, language: str
) -> None:
    (folder / "a.txt").write_bytes(text.encode(encoding))
    assert texts("a.txt", languages=[language]) == [text]
    if not encoding.startswith("utf"):
        assert "notes: a.txt: read as " in capsys.readouterr().out


def test_the_encoding_is_declared_where_nothing_tells_it(folder: Path) -> None:
    (folder / "a.txt").write_bytes("prix: 5 €".encode("iso8859_15"))
    assert texts("a.txt", encoding="iso8859_15") == ["prix: 5 €"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("name", "lines", "expected"),
    [
        ("a.txt", ["one", "two"], ["one\ntwo\n"]),
        ("a.jsonl", ['{"text": "one"}', "", '{"text": "t\u2028wo"}'], ["one", "t\u2028wo"]),
        ("a.csv", ["text,n", "one,1", "two,2"], ["one", "two"]),
        ("a.tsv", ["text\tn", "one\t1"], ["one"]),
    ],
)
def test_lines_end_as_on_any_machine(folder: Path, end: str, name: str, lines: list[str], expected: list[str]) -> None:
    (folder / name).write_bytes("".join(line + end for line in lines).encode())
    assert texts(name) == expected


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_a_csv_is_detected(folder: Path, separator: str) -> None:
    rows = [["text", "n"], [f'"A, b; c| d\t{separator} e"', "1"], ["two", "2"]]
    (folder / "a.csv").write_text("".join(separator.join(row) + "\n" for row in rows))
    assert texts("a.csv") == [f"A, b; c| d\t{separator} e", "two"]


def test_separator_and_quotation_mark_can_be_declared(folder: Path) -> None:
    (folder / "a.csv").write_text("text:n\n'one: two':1\n")
    assert texts("a.csv", separator=":", quote="'") == ["one: two"]
    (folder / "b.csv").write_text('text,n\n"one,1\n')
    assert texts("b.csv", quote="") == ['"one']


def test_blanks_around_names_of_columns_and_labels_do_not_count(folder: Path) -> None:
    (folder / "a.csv").write_text("text, label\nfine, 1\n")
    columns = {"task": "t", "inputs": {"text": "text"}, "target": "label", "labels": {"1": "good"}}
    (record,) = read(source("a.csv", documents=None, examples=columns))
    assert record[3] == "good"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '[\n {"text": "one"},\n {"text": "two"}\n]'),
        ("a.json", '{"text": "one"}\n{"text": "two"}\n'),
        ("a.NDJSON", '{"text": "one"}\n{"text": "two"}\n'),
    ],
)
def test_what_a_json_file_holds_is_told_by_its_content(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    assert texts(name) == ["one", "two"]


def test_one_json_object_is_one_row(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps({"text": "one"}, indent=1))
    assert texts("a.json") == ["one"]


def test_arrow_files_and_streams_are_read(folder: Path) -> None:
    table = pa.table({"text": ["one", "two"]})
    for name, made in (("a.arrow", pa.ipc.new_stream), ("b.feather", pa.ipc.new_file)):
        with made(folder / name, table.schema) as sink:
            sink.write_table(table)
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        assert texts(name) == texts(f"{name}.gz") == ["one", "two"]


def test_text_in_bytes_is_text(folder: Path) -> None:
    pq.write_table(pa.table({"text": [b"one", "zwölf".encode()]}), folder / "a.parquet")
    assert texts("a.parquet") == ["one", "zwölf"]


def test_a_value_that_nobody_asks_for_does_no_harm(folder: Path) -> None:
    far = pa.array([2**60, 0], pa.timestamp("ms"))
    pq.write_table(pa.table({"text": ["one", "two"], "at": far}), folder / "a.parquet")
    assert texts("a.parquet") == ["one", "two"]
    assert rejected("a.parquet", documents={"text": "at"})[0].startswith(
        "a.parquet, row 1: `at` is a timestamp[ms] that cannot be read"
    )


def test_of_a_page_the_main_content_is_kept(folder: Path) -> None:
    (folder / "a.html").write_text(PAGE)
    (text,) = texts("a.html")
    assert text is not None
    assert text.startswith("Boil the water and wait")
    assert "Home" not in text
    assert "go()" not in text
    assert texts("a.html", documents={"text": "title"}) == ["Tea"]


def test_a_page_declares_its_encoding(folder: Path) -> None:
    (folder / "a.htm").write_bytes(f"<meta charset=gb2312><p>{CHINESE}</p>".encode("gb2312"))
    assert texts("a.htm") == [CHINESE.strip()]


def pdf(text: str) -> bytes:
    """A PDF of one page with a line of text."""
    drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
    ]
    made, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return made + end % (table, len(made))


def test_the_text_layer_of_a_pdf_is_read(folder: Path) -> None:
    (folder / "a.PDF").write_bytes(pdf("A line of text."))
    assert texts("a.PDF") == ["A line of text."]


def test_a_dump_of_a_wiki_gives_its_articles_without_markup(folder: Path) -> None:
    pages = [
        ("Tea", 0, "", "'''Tea''' is a [[drink|hot drink]].<ref>A book.</ref>{{stub}}\n\n[[Category:Drinks]]"),
        ("Talk:Tea", 1, "", "I like it."),
        ("Chai", 0, '<redirect title="Tea" />', "#REDIRECT [[Tea]]"),
        ("Water", 0, "", "Water is wet."),
    ]
    made = "".join(
        f"<page><title>{title}</title><ns>{space}</ns><id>{number}</id>{more}<revision><id>9</id><text>"
        + text.replace("<", "&lt;")
        + "</text></revision></page>"
        for number, (title, space, more, text) in enumerate(pages, start=1)
    )
    (folder / "a.xml").write_text(f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">{made}</mediawiki>')
    assert [(record[0], record[1]) for record in read(source("a.xml"))] == [
        ("a.xml:1", "Tea is a hot drink."),
        ("a.xml:4", "Water is wet."),
    ]


def test_a_mailbox_gives_a_row_for_each_message(folder: Path) -> None:
    plain, page, picture = EmailMessage(), EmailMessage(), EmailMessage()
    plain.set_content("Bonjour à tous.\nFrom here on it is plain.\n", charset="iso-8859-1")
    page.set_content(PAGE, subtype="html")
    picture.set_content(b"\x89PNG", "image", "png")
    made = b"".join(
        b"From ann@example.org Mon Jan  1 00:00:00 2024\n"
        + message.as_bytes(policy=message.policy.clone(mangle_from_=True))
        + b"\n"
        for message in (plain, page, picture)
    )
    (folder / "a.mbox").write_bytes(made)
    first, second = texts("a.mbox")
    assert first == "Bonjour à tous.\nFrom here on it is plain.\n"
    assert (second or "").startswith("Boil the water")
    assert rejected("a.mbox") == ["a.mbox, row 3: a message without a text"]


def test_a_warc_gives_its_pages(folder: Path) -> None:
    out = io.BytesIO()
    for kind, mime, body in (
        (WarcRecordType.response, "text/html", PAGE.encode()),
        (WarcRecordType.response, "image/png", b"\x89PNG"),
        (WarcRecordType.conversion, "text/plain", b"Plain text of a page."),
    ):
        record = WarcRecord()
        record.init_headers(record_type=kind)
        record.headers["WARC-Target-URI"] = "https://example.org/"
        if kind is WarcRecordType.conversion:
            record.headers["Content-Type"] = mime
            record.set_bytes_content(body)
        else:
            record.headers["Content-Type"] = "application/http; msgtype=response"
            record.set_bytes_content(f"HTTP/1.1 200 OK\r\nContent-Type: {mime}\r\n\r\n".encode() + body)
        record.write(out)
    (folder / "a.warc.gz").write_bytes(gzip.compress(out.getvalue()))
    first, second = texts("a.warc.gz")
    assert (first or "").startswith("Boil the water")
    assert second == "Plain text of a page."
    (folder / "b.warc").write_bytes(out.getvalue()[:-15])
    with pytest.raises(BadData, match=r"b.warc: cut off: its last record has no end"):
        texts("b.warc")


def test_a_file_of_another_kind_is_not_blamed_on_its_rows(folder: Path) -> None:
    (folder / "a.xml").write_text("<rss><channel/></rss>")
    with pytest.raises(BadData, match=r"a.xml: not a dump of a wiki \(<mediawiki>\) but <rss>"):
        texts("a.xml")
    (folder / "a.mbox").write_text("Dear all\n")
    with pytest.raises(BadData, match=r"a.mbox: not a mailbox"):
        texts("a.mbox")


def test_endings_are_told_in_letters_of_either_case() -> None:
    assert format_of("A.JSONL.GZ") == "jsonl"
    assert format_of("notes.old.md") == "md"
    assert format_of("archive") is None
