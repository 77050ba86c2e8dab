"""The report page stands alone and shows what the reports say."""

import html.parser
import json
import re
import shutil
import subprocess

import pyarrow.dataset as ds
import pytest

from components.evaluation.evaluation import evaluate
from components.evaluation.settings import Evaluate
from components.lineage.chain import Link
from components.reports import data_summary
from components.reports.charts import line, nice_ticks, ticks_up_to
from components.reports.report import bits_charts, render
from tests.components.support.tiny import DEFINITIONS

LINEAGE = {"version": "7", "alias": "champion", "git_commit": "59bf579a0c7e", "data_md5": "d41d8c.dir"}
NASTY = "<script>document.title = 'broken'</script> & \"quotes\""
SETTINGS = Evaluate(
    max_bytes_per_source=500,
    max_examples=2,
    tokens_per_batch=512,
    max_new_tokens=4,
    repetition_penalty=1.2,
    verbatim_documents=2,
    verbatim_prompt=12,
    verbatim_tokens=4,
    samples=1,
    resamples=100,
    confidence=0.95,
    seed=0,
)


@pytest.fixture(scope="module")
def root(tiny_model, prepared, tmp_path_factory):
    """A repository after a run with a decoder."""
    return finished(tmp_path_factory.mktemp("root"), {"base": tiny_model, "assistant": tiny_model}, prepared)


def finished(root, models, prepared, figure="bits_per_byte"):
    """A repository after a run, as far as the page looks at it; `figure` is that of the last validation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name, model in models.items():
            evaluation = evaluate(model, SETTINGS, name, prepared, definitions=DEFINITIONS)
            if "pieces" in evaluation.samples[0]:
                evaluation.samples[0]["pieces"][1]["said"] = NASTY
            evaluation.write(root / "reports/evaluation" / name)
    shutil.copytree(prepared, root / "data/prepared")
    for split in ("documents", "examples"):
        shutil.copytree(prepared / split / "train", root / "data/prepared" / split / "validation")
    for folder in ("pretrain", "finetune/assistant"):
        write(root / "reports/training" / folder / "loss.csv", "step,loss\n5,8.5\n10,7.25\n")
        column = figure if folder != "pretrain" else "bits_per_byte"
        write(root / "reports/training" / folder / "validation.csv", f"step,{column}\n10,2.5\n")
    for folder in ("pretrained", "finetuned/assistant"):
        facts = {"steps": 10, "tokens": 1_500_000, "base": {"folder": "models/pretrained"}}
        facts |= {"left_out": {"topic": {"examples": 3, "of": 900}}} if folder != "pretrained" else {}
        write(root / "models" / folder / "training.json", json.dumps(facts))
    return root


@pytest.fixture(scope="module")
def page(root):
    return render(root, LINEAGE)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Loads(html.parser.HTMLParser):
    """Collects what a browser would fetch, and the tags that are open."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, _tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]


def test_page_fetches_nothing_and_names_no_path(page, root):
    loads = Loads()
    loads.feed(page)
    assert loads.addresses == ["data:,", "data.html"]
    assert not re.search(r"url\(|@import|https?://", page)
    assert "<script" not in page
    assert str(root) not in page


def test_page_shows_scores_lineage_data_and_samples(page, root):
    scores = json.loads((root / "reports/evaluation/assistant/scores.json").read_text())
    assert f"<b>{scores['bits_per_byte']['all']['value']:.3f}</b>" in page
    for score in scores["tasks"].values():
        assert f"<b>{score['baselines']['majority']['value']:.3f}</b>" in page
    for text in (
        "version 7",
        "@champion",
        "d41d8c.dir",
        "source 0",
        "1.5 million",
        "3 of 900 examples of topic",
    ):
        assert text in page, text
    assert "documents of the train split, it completed" in page
    assert "hold personal data" in page
    assert "&lt;script&gt;" in page


def test_samples_stand_under_the_scores_of_their_task(page, root):
    table = page[page.index("<h2>Tasks") : page.index("<h2>Bits per byte")]
    found = json.loads((root / "reports/evaluation/assistant/samples.json").read_text())
    asked = [sample for sample in found if sample["task"] != "text"]
    assert asked
    assert [table.count(html.escape(sample["target"])) > 0 for sample in asked] == [True] * len(asked)
    assert table.count('class="sample"') == len(asked)


def test_page_of_an_encoder_has_bits_before_fine_tuning_and_tasks_after(tiny_models, prepared, tmp_path):
    models = {"base": tiny_models["encoder"], "assistant": tiny_models["labels"]}
    page = render(finished(tmp_path, models, prepared, "label_loss"), LINEAGE)
    assert "Bits per byte before fine-tuning" in page
    assert "comparable among encoders only" in page
    assert "base, filling in what was hidden" in page
    assert "Validation, in nats per label" in page
    assert page.count("<svg role") == 7


def test_page_of_a_translator_says_nothing_of_bits(tiny_models, prepared, tmp_path):
    models = dict.fromkeys(("base", "assistant"), tiny_models["original"])
    page = render(finished(tmp_path, models, prepared), LINEAGE)
    assert "Bits per byte" not in page
    assert "it completed" not in page
    assert "hold personal data" in page
    assert "encoder-decoder" in page


def test_text_to_learn_from_is_that_of_the_train_split(root):
    texts = ds.dataset(root / "data/prepared/documents/train").to_table()["text"].to_pylist()
    counted = sum(row["bytes"]["train"] for row in data_summary.documents(root / "data"))
    assert counted == sum(len(text.encode()) for text in texts)


def test_bits_per_byte_have_one_axis(root):
    scores, base = (
        json.loads((root / "reports/evaluation" / name / "scores.json").read_text()) for name in ("assistant", "base")
    )
    by_source, by_language = (
        re.findall(r'"tick middle" x="(.*?)".*?>(.*?)<', chart) for chart in bits_charts([scores, base]).values()
    )
    assert by_source == by_language


def test_page_is_the_same_every_time(page, root):
    assert render(root, LINEAGE) == page


def test_lineage_may_be_without_version_and_alias(root):
    assert '<span class="chip alias">' not in render(root, {"git_commit": "59bf579a0c7e"})


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs the browser `chromium` on PATH")
def test_page_opens_in_a_browser_without_errors(page, tmp_path):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    browser = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", *quiet, "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in browser.stderr
    assert "<title>assistant · lmforge report</title>" in browser.stdout
    assert browser.stdout.count("<svg role") == 7
    assert "NaN" not in browser.stdout


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (2.11, 2.68, [2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7]), (3, 3, [3, 3.5])],
)
def test_ticks_are_round_and_cover_the_range(low, high, ticks):
    assert nice_ticks(low, high, 6) == ticks


@pytest.mark.parametrize(
    ("last", "ticks"),
    [(560, [0, 200, 400, 560]), (880, [0, 200, 400, 600, 880]), (1000, [0, 200, 400, 600, 800, 1000])],
)
def test_ticks_end_at_the_last_step(last, ticks):
    assert ticks_up_to(last, 5) == ticks


def test_the_last_value_stands_beside_its_curve():
    chart = line([(5, 8.5), (880, 2.25)], "Loss", "model")
    end = float(re.search(r'<circle class="model" cx="(.*?)"', chart)[1])
    label = float(re.search(r'class="value" x="(.*?)"', chart)[1])
    assert label > end + 4


def test_the_chain_leads_from_the_version_to_its_sources(root):
    chain = [Link("model version", "assistant 7"), Link("sources", "1 source", (("<b>films", "MIT", "0123abc"),))]
    page = render(root, LINEAGE, chain)
    assert page.index("assistant 7") < page.index("&lt;b&gt;films") < page.index("0123abc")
    assert page.count("<li>") == 2
