"""The page about the data shows what the stages did with the rows, and nothing personal."""

import html.parser
import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core.files import write_json
from components.data.tables.records import REJECTED_ROWS, ROWS, SCHEMAS, dump
from components.data.tables.shards import ShardWriter
from components.reports import data_facts, data_page
from components.stages import encode, prepare

REPOSITORY = Path(__file__).parents[3]
SUBJECTS = ["river", "market", "winter", "engine", "garden", "harbour", "library", "mountain", "orchard", "railway"]
RULE = {"name": "text is <long>", "table": "documents", "severity": "warning", "success": False, "failed_rows": 6}
EXAMPLE = {"id": "1", "source": "notes", "value": "“too <b>short</b>”"}


def story(number: int) -> str:
    """A text of its own: no two have many pairs of words in common."""
    words = [f"{subject}{number * place}" for place, subject in enumerate(SUBJECTS * 3, 7)]
    return f"The story of the {words[0]} is told in the " + " and the ".join(words) + "."


def rows() -> dict[str, list[dict[str, str]]]:
    texts = [story(number) for number in range(80)]
    near = [f"{texts[0]} It was told once more.", texts[0].upper(), f"{texts[1]} It was told once more."]
    texts[2] += " Write to jane.doe@example.org or bob.roe@example.com."
    found = [*texts, *near, "short"]
    common = {"license": "MIT"}
    documents = [
        {
            "id": f"{number:064x}",
            "source": "notes",
            "text": found[number],
            "language": "en",
            "origin": "file:#",
            **common,
        }
        for number in range(len(found))
    ]
    examples = [
        {"id": f"{number:064x}", "source": "films", "task": "topic", "target": "a", **common}
        | {"inputs": dump({"text": story(1000 + number)})}
        for number in range(60)
    ]
    return {"documents": documents, "examples": examples}


def prepare_rows(root: Path, tables: dict[str, list[dict[str, str]]]) -> None:
    """Write raw tables into a folder, and prepare them there."""
    settings = YAML().load(REPOSITORY / "params.yaml")
    settings["prepare"]["splits"] |= {"validation": 0.2, "test": 0.3}
    YAML().dump(settings, root / "params.yaml")
    for table, schema in (SCHEMAS | {ROWS: REJECTED_ROWS}).items():
        with ShardWriter(root / "data/raw" / table, schema) as writer:
            for row in tables.get(table, []):
                writer.write(row)
    with chdir(root):
        prepare.main()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A repository behind `encode`."""
    root = tmp_path_factory.mktemp("root")
    unread = {ROWS: [{"source": "notes", "file": "a.csv", "row": "7", "reason": "the text is missing"}]}
    prepare_rows(root, rows() | unread)
    with chdir(root):
        shutil.copytree(tokenizer_folder, encode.TOKENIZER)
        encode.main()
    report = {"table": "raw", "success": True, "rules": [RULE | {"observed": 0.5, "examples": [EXAMPLE]}]}
    (root / "reports/validation").mkdir(parents=True)
    write_json(root / "reports/validation/raw.json", report)
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return data_page.render(root)


class Loads(html.parser.HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str | None] = []

    def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]


def test_the_page_loads_nothing_and_names_no_path(root: Path, page: str) -> None:
    loads = Loads()
    loads.feed(page)
    assert loads.addresses == ["data:,"]
    assert not re.search(r"url\(|@import|https?://|NaN", page)
    assert "<script" not in page
    assert "<b>short" not in page
    assert str(root) not in page


def test_each_row_is_in_the_funnel_once(root: Path) -> None:
    found = data_facts.funnel(root / "data", "documents")
    assert found.read == found.divided == 84
    assert found.lost == {"cleaned": 1, "copied": 3, "tested": 0}
    assert sum(found.splits.values()) == 80
    assert data_facts.by_source(root / "data")["notes"] == {"kept": 80, "cleaned": 1, "copied": 3, "unread": 1}


def test_clusters_are_those_of_the_kept_documents(root: Path) -> None:
    found = data_facts.clusters(root / "data")
    assert found.sizes == [("2", 1), ("3", 1), ("4", 0), ("5 and more", 0)]
    assert sum(count for _, count in found.similarities) == 2
    assert [fact["members"] for fact in found.largest] == [3, 2]


def test_reasons_have_examples_without_personal_data(page: str) -> None:
    for expected in (
        "near duplicate",
        "too short",
        "documents: en 1<",
        "measured 5<",
        "a.csv, row 7: the text is missing",
        "text is &lt;long&gt;",
        "6</td>",
    ):
        assert expected in page, expected
    assert "jane.doe@example.org" not in page
    assert re.search(r"phone|email", page)


def test_figures_of_tokens_are_those_of_the_index(root: Path, page: str) -> None:
    manifest = json.loads((root / "data/tokens/manifest.json").read_text())
    train = [shard for shard in manifest["shards"] if shard["split"] == "train"]
    assert f"{sum(shard['tokens'] for shard in train) / 1e6:.2f} M" in page
    assert "Bytes per token, by language" in page


def test_a_page_can_be_made_where_nothing_was_left_out(tmp_path: Path) -> None:
    prepare_rows(tmp_path, {"documents": rows()["documents"][3:40]})
    page = data_page.render(tmp_path)
    assert "37" in page
    assert not data_facts.clusters(tmp_path / "data").largest


def test_a_page_can_be_made_before_anything_is_prepared(tmp_path: Path) -> None:
    for table, schema in (SCHEMAS | {ROWS: REJECTED_ROWS}).items():
        ShardWriter(tmp_path / "data/raw" / table, schema).__exit__(None, None, None)
    assert "Step by step" not in data_page.render(tmp_path)
