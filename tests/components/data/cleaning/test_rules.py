"""The rules of Gopher, C4 and FineWeb: what each measures, for which languages, in which time."""

import re
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.core import params
from components.core.errors import BadSettings
from components.data.cleaning.measures import MEASURES, Text
from components.data.cleaning.quality import DROPS, Rules, broken_rule, shortened
from components.data.cleaning.rows import clean_documents
from components.data.settings import Prepare, QualityRules
from components.data.tables.records import DOCUMENTS
from tests.components.support.preparing import SETTINGS

REPOSITORY = Path(__file__).parents[4]
PAGE = (REPOSITORY / "docs/rejected.md").read_text(encoding="utf-8")
(BLOCK,) = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "gopher_min_words" in block]
PUBLISHED = params.parse(yaml.safe_load(BLOCK)["prepare"]["quality"]["en"], QualityRules, "docs/rejected.md")

GOOD = (
    "The farmers who live beside the old mill have sold their grain to a merchant from the coast. He came with three "
    "carts and left before noon. Nobody asked what he paid, but that evening every house had a lamp in its window. "
    "Children ran along the river until it was too dark to see. When winter comes, most of them will be in school "
    "again, with new shoes and stories of ships."
)
BAD = {
    "gopher_min_words": "Only the few words of a note that have to be with it.",
    "gopher_max_words": "a b " * 60_000,
    "gopher_min_word_length": "a b c of to be the it " * 10,
    "gopher_max_word_length": "donaudampfschifffahrtsgesellschaft " * 60,
    "gopher_max_hashes": f"{GOOD} {'# ' * 20}",
    "gopher_max_ellipses": f"{GOOD} {'and on... ' * 20}",
    "gopher_max_bullet_lines": "\n".join(f"- {word} is one of them" for word in GOOD.split()),
    "gopher_max_ellipsis_lines": "\n".join(f"{word} is one of them..." for word in GOOD.split()),
    "gopher_min_alphabetic_words": " ".join(f"{word} {number}" for number, word in enumerate(GOOD.split())),
    "gopher_min_stop_words": "Alle meine Entchen schwimmen auf dem See, Köpfchen in das Wasser, Schwänzchen hoch.",
    "gopher_max_repeated_lines": "\n".join(["ab", "cd", "ef", "ab", "cd", GOOD]),
    "gopher_max_repeated_paragraphs": "\n\n".join(["ab", "cd", "ef", "ab", "cd", GOOD]),
    "gopher_max_repeated_line_characters": "\n".join([GOOD, *GOOD.split(), GOOD]),
    "gopher_max_repeated_paragraph_characters": "\n\n".join([GOOD, *GOOD.split(), GOOD]),
    "c4_min_sentences": "A text without any end of a sentence",
    "c4_max_lorem_ipsum": f"{GOOD} Lorem ipsum dolor.",
    "c4_max_curly_brackets": f"{GOOD} function() {{ }}",
    "fineweb_min_punctuated_lines": "\n".join(f"{word} and so on" for word in GOOD.split()),
    "fineweb_max_short_lines": "\n".join(GOOD.split()),
    "fineweb_max_repeated_characters": f"{GOOD}\nThe end of it.\nThe end of it.",
    "fineweb_max_line_breaks": "\n".join(GOOD.split()),
    **{f"gopher_max_top_{n}_gram": f"{GOOD} {'wine and dine ' * 30}" for n in range(2, 5)},
    **{f"gopher_max_repeated_{n}_grams": f"{GOOD} {GOOD}" for n in range(5, 11)},
}
LINES = {
    "c4_max_word_length_in_line": "x" * 1001,
    "c4_drop_lines_without_end": "Home | Products | About us",
    "c4_min_words_in_line": "Read more.",
    "c4_drop_javascript_lines": "Please enable JavaScript to see this page.",
    "c4_drop_policy_lines": "By going on you accept our Privacy Policy and more.",
}


def setting(name: str) -> Any:
    return getattr(PUBLISHED, name)


def test_the_page_names_every_rule_and_each_is_of_lines_or_of_documents() -> None:
    assert [field.name for field in fields(QualityRules)] == list(PUBLISHED.on)
    assert set(PUBLISHED.on) == {*MEASURES, *DROPS}
    assert not set(MEASURES) & set(DROPS)


def test_a_good_text_breaks_no_published_rule() -> None:
    rules = Rules({"en": PUBLISHED}).of("en")
    assert broken_rule(GOOD, rules.documents) is None
    assert shortened(GOOD, "s", rules.lines, None) == (GOOD, {})


@pytest.mark.parametrize("name", MEASURES)
def test_a_rule_drops_what_it_is_for_with_the_value(name: str) -> None:
    broken = broken_rule(BAD[name], {name: setting(name)})
    assert broken is not None
    assert broken.rule == name
    assert broken.value == MEASURES[name](Text(BAD[name]))
    assert broken_rule(GOOD, {name: setting(name)}) is None


@pytest.mark.parametrize("name", DROPS)
def test_a_rule_drops_lines_and_leaves_the_others(name: str) -> None:
    text, dropped = shortened(f"{GOOD}\n\n{LINES[name]}\n\n{GOOD}", "s", {name: setting(name)}, None)
    assert (text, dropped) == (f"{GOOD}\n\n{GOOD}", {name: 1})


WORDS = st.lists(st.sampled_from("abc"), max_size=60)


@given(WORDS, st.integers(2, 6))
def test_n_grams_are_those_of_a_plain_count(words: list[str], length: int) -> None:
    """As in datatrove, but an n-gram that occurs once repeats nothing."""
    text = Text(" ".join(words))
    grams = [tuple(words[place : place + length]) for place in range(len(words) - length + 1)]
    counts = {gram: grams.count(gram) for gram in grams}
    most = max(counts.values(), default=0)
    top = next((len(" ".join(gram)) * most for gram in grams if counts[gram] == most), 0)
    assert text.top_gram(length) == (top if most > 1 else 0)
    seen, characters, place = set(), 0, 0
    while place < len(grams):
        repeats = grams[place] in seen
        seen.add(grams[place])
        characters += len("".join(grams[place])) if repeats else 0
        place += length if repeats else 1
    assert text.repeated_grams(length) == characters


@given(st.lists(st.sampled_from([GOOD, *LINES.values(), "", "  x", "\u0301", "e"]), max_size=8).map("\n".join))
def test_dropping_lines_twice_changes_nothing(text: str) -> None:
    rules = Rules({"en": PUBLISHED}).of("en").lines
    once = shortened(text, "s", rules, None).text
    assert shortened(once, "s", rules, None) == (once, {})


def test_a_language_has_its_own_rules_or_those_of_others_that_make_sense_for_it() -> None:
    rules = Rules({"en": QualityRules(c4_max_lorem_ipsum=0), "other": replace(PUBLISHED, gopher_max_bullet_lines=0.5)})
    assert rules.of("en").documents == rules.of("en-GB").documents == {"c4_max_lorem_ipsum": 0}
    assert rules.of("de").documents["gopher_max_bullet_lines"] == 0.5
    assert rules.of("de").lines["c4_min_words_in_line"] == 3
    chinese = rules.of("zh-Hant")
    assert chinese.documents["gopher_max_bullet_lines"] == 0.5
    assert not [name for name in [*chinese.documents, *chinese.lines] if "word" in name or "gram" in name]
    assert Rules(None).of("en") == ({}, {})


def test_a_rule_about_words_is_refused_for_a_language_without_spaces() -> None:
    content = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))["prepare"]
    wrong = content | {"quality": {"ja": {"gopher_max_top_2_gram": 0.2}}}
    with pytest.raises(BadSettings, match="`gopher_max_top_2_gram` counts words, between which ja has no spaces"):
        params.parse(wrong, Prepare, "params.yaml: prepare")
    with pytest.raises(BadSettings, match="did you mean `gopher_min_words`"):
        params.parse(content | {"quality": {"en": {"gopher_min_word": 50}}}, Prepare, "params.yaml: prepare")


@pytest.mark.parametrize(
    "piece", ["@", "7", ":", " ", "(", ".)", "a ", "{\n", "Ã", "é\n", "\u0301", "漢", '."', "-\n\n"]
)
def test_no_text_takes_more_than_linear_time(piece: str) -> None:
    """Quadratic time would be minutes for 40,000 characters."""
    settings = replace(SETTINGS, quality={"other": PUBLISHED})
    text = piece * 40_000
    row = {"id": "a", "source": "s", "language": None, "license": "MIT", "origin": "o", "text": text}
    began = time.process_time()
    clean_documents(pa.RecordBatch.from_pylist([row], DOCUMENTS), settings, None)
    seen = Text(text)
    assert all(measure(seen) >= 0 for measure in MEASURES.values())
    assert time.process_time() - began < 10
