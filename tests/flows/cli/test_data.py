"""`lmforge data`: own data is added by a command, and nothing is written that would not work."""

import json
import shutil
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from components.core import params
from components.data.sources import catalog
from components.data.sources.files import FilesSource
from components.tasks import catalog as tasks
from components.tokenizer.tokenizer import SPECIAL_TOKENS
from components.tokenizer_training import training
from flows import settings
from flows.cli import data
from tests.flows.support.running import REPOSITORY

REVIEWS = "".join(f"{'good' if n % 3 else 'bad'}\tThis book is number {n} on my list.\n" for n in range(60))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings and catalogues of this repository, in a folder to change."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "data").mkdir()
    for path in (REPOSITORY / "data").glob("*.yaml"):
        shutil.copy(path, tmp_path / "data")
    (tmp_path / "reviews.tsv").write_text(REVIEWS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, answer: str = "") -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(data.app, arguments, input=answer)
    return result.output, result.exception


def files(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in (folder / "params.yaml", *(folder / "data").iterdir())}


def test_a_file_is_added_with_its_task_and_taught(project: Path) -> None:
    before = (project / "data/sources.yaml").read_text()
    shown, error = run(
        *("add", "reviews.tsv", "--columns", "label,text", "--license", "MIT", "--language", "en"),
        *("--recipe", "assistant", "--share", "2", "--yes"),
    )
    assert error is None, shown
    assert "classification" in shown
    assert "good 40, bad 20" in shown
    assert "▸ assistant: bad" in shown
    assert (project / "data/sources.yaml").read_text().startswith(before.rstrip()), "what stood there has changed"
    assert catalog.load(Path("data/sources.yaml"))[-1].yields == ("reviews",)
    assert tasks.load()["reviews"].labels == ("bad", "good")
    content = params.load(params.PARAMS)
    assert "reviews" in content["ingest"]["take"]
    assert ", reviews] # of what the sources yield\n" in params.PARAMS.read_text(), "the comment is elsewhere"
    assert content["validate"]["min_rows_per_task"] == 60, "the run would end in validate"
    assert content["finetune"]["assistant"]["tasks"]["reviews"] == 2
    settings.check()

    before_tokenizer, problem = run("show", "reviews")
    assert "has a tokenizer yet" in str(problem), before_tokenizer
    texts = project / "texts.parquet"
    pq.write_table(pa.table({"text": REVIEWS.splitlines()}), texts)
    training.train([texts], 300, SPECIAL_TOKENS).save(project / "models/tokenizer")
    rows, problem = run("show", "reviews", "2")
    assert problem is None, rows
    learned = [line.split()[1] for line in rows.splitlines() if line.endswith("learned")]
    assert learned == ["'good'", "'<|im_end|>'"], rows


def test_that_long_texts_are_read_in_part_is_said(project: Path) -> None:
    (project / "reviews.tsv").write_text(REVIEWS + "".join(f"bad\t{'A long story. ' * 40}{n}\n" for n in range(20)))
    shown, _ = run("add", "reviews.tsv", "--columns", "label,text", "--recipe", "assistant", answer="n")
    assert "about 25% of the texts have more than 64 tokens (finetune.assistant.max_prompt_tokens)" in shown
    shown, _ = run("add", "reviews.tsv", "--columns", "label,text", answer="n")
    assert "are read in part" not in shown, "no recipe reads them"


def test_a_book_alone_is_divided_among_the_splits(project: Path) -> None:
    (project / "book.txt").write_text(
        "\n\n".join(f"It was a dark and stormy night, the {n}th of many." for n in range(999))
    )
    settings_file = project / "params.yaml"
    settings_file.write_text(settings_file.read_text().replace("data/sources.yaml", "data/mine.yaml"))
    shown, error = run("add", "book.txt", "--yes")
    assert error is None, shown
    [book] = catalog.load(Path("data/mine.yaml"))
    assert (book.name, book.yields, book.languages) == ("book", ("documents",), ("en",))
    content = params.load(params.PARAMS)
    assert content["prepare"]["splits"]["unit"] == "part"
    assert content["validate"]["min_rows_per_source"] == 1


def test_nothing_is_written_without_consent(project: Path) -> None:
    before = files(project)
    shown, error = run("add", "reviews.tsv", "--columns", "label,text", answer="n\n")
    assert "Write this?" in shown
    assert isinstance(error, SystemExit)
    assert files(project) == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("missing.csv",), "there is no file missing.csv"),
        (
            ("reviews.tsv", "--columns", "a,b,c"),
            "reviews.tsv, row 1: 2 fields, where the columns are 3",
        ),
        (("reviews.tsv", "--columns", "label,text", "--recipe", "asistant"), "did you mean `assistant`"),
        (("reviews.tsv", "--columns", "label,text", "--labels", "good"), "--labels good: write it as NAME=VALUE"),
        (("reviews.tsv", "--columns", "label,text", "--name", "wikipedia"), "two sources have the name `wikipedia`"),
        (("hub:owner/name",), "pin it as hub:owner/name@REVISION"),
        (("odd.jsonl",), "fit no known form"),
    ],
)
def test_what_cannot_be_added_is_told_and_nothing_written(project: Path, arguments: tuple[str, ...], line: str) -> None:
    (project / "odd.jsonl").write_text(json.dumps({"left": "a", "right": "b", "middle": "c"}) + "\n")
    before = files(project)
    _, error = run("add", *arguments, "--yes")
    assert line in str(error)
    assert files(project) == before


def test_a_mailbox_a_table_with_a_bad_row_and_an_address_are_added(project: Path) -> None:
    (project / "list.mbox").write_text(
        "".join(
            f"From a@example.org Mon Jan  1 00:00:00 2024\nSubject: {n}\n\nThis is message {n} of a list.\n\n"
            for n in range(9)
        )
    )
    shown, error = run("add", "list.mbox", "--language", "en", "--yes")
    assert error is None, shown
    assert "documents (text: text)" in shown
    rows = "".join(f"This is row {n}.;{n % 2}\n" for n in range(60))
    (project / "marks.csv").write_bytes(b"text;label\n" + rows.encode() + b"cut off\n")
    shown, error = run("add", "marks.csv", "--language", "en", "--labels", "0=bad,1=good", "--yes")
    assert error is None, shown
    assert "bad rows    1, such as marks.csv, row 62: 1 fields, where the columns are 2" in shown
    with fsspec.open("memory://data/far.jsonl", "w") as file:
        file.write("".join(json.dumps({"text": f"This is text {n} from afar."}) + "\n" for n in range(60)))
    shown, error = run("add", "memory://data/far.jsonl", "--language", "en", "--yes")
    assert error is None, shown
    far = catalog.load(Path("data/sources.yaml"))[-1]
    assert isinstance(far, FilesSource)
    assert far.files[0].sha256
