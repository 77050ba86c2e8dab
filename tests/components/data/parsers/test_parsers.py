"""The parsers of package sources, each on a tiny archive in the shape of the real one."""

import bz2
import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from components.data.parsers import (
    articles,
    bible,
    catalogues,
    chinese_dictionary,
    conversations,
    english_dictionary,
    factbook,
    news,
    recipes,
    reviews,
    service_models,
    wikipedia,
    wordnet,
)
from components.data.parsers.markup import one_line, plain
from components.data.tables.records import Document, Example
from tests.components.support.simple_index import archive, wheel


def encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def test_wikipedia_gives_documents_and_examples_over_the_same_text() -> None:
    pages = {
        "Tea": {"title": "Tea", "extract": "Tea is a drink.", "description": "Hot drink", "topic": "Everyday life"},
        "Moss": {"title": "Moss", "extract": "Moss grows.", "description": None, "topic": "Uncategorized"},
    }
    assert list(wikipedia.parse(archive({"w.json": encoded(pages)}), "w.json", "topic", "line")) == [
        Document("Tea", "Tea is a drink."),
        Example("Tea", "topic", {"text": "Tea is a drink."}, "Everyday life"),
        Example("Tea", "line", {"title": "Tea", "text": "Tea is a drink."}, "Hot drink"),
        Document("Moss", "Moss grows."),
    ]


COUNTRY = {
    "Government": {
        "Country name": {
            "conventional long form": {"text": "Kingdom of Moss"},
            "conventional short form": {"text": "none"},
        },
        "Capital": {"text": "<b>Fern</b>&nbsp;City", "note": "<strong>note:</strong> since 1900"},
    },
    "Geography": {
        "Area": {"total ": {"text": "5 sq km"}, "land": {"text": "land: 4 sq km"}},
        "Climate": {"text": "mild " * 30},
    },
}


def test_a_question_of_the_factbook_stands_over_a_document_that_has_its_answer() -> None:
    made = list(factbook.parse(archive({"data/x/mo.json": encoded(COUNTRY)}), "data/*/*.json", 120, 30))
    documents = {record.key: record.text for record in made if isinstance(record, Document)}
    assert documents["mo/Geography/0"] == "Kingdom of Moss — Geography\nArea, total: 5 sq km\nArea, land: 4 sq km"
    assert documents["mo/Geography/1"] == f"Kingdom of Moss — Geography\nClimate: {('mild ' * 30).strip()}"
    assert "Capital: Fern City\nCapital, note: since 1900" in "".join(map(str, documents.values()))
    questions = [record for record in made if isinstance(record, Example)]
    assert questions
    for question in questions:
        assert question.inputs["context"] == documents[question.key]
        assert f"{question.inputs['question']}: {question.target}" in documents[question.key].split("\n")
        assert question.target is not None
        assert len(question.target) <= 30


def test_an_interview_asks_for_several_facts_of_one_document() -> None:
    pages = archive({"data/x/mo.json": encoded(COUNTRY)})
    documents = {
        record.key: record.text
        for record in factbook.parse(pages, "data/*/*.json", 120, 30)
        if isinstance(record, Document)
    }
    made = factbook.parse_interviews(pages, "data/*/*.json", 120, 30, "interview", 3)
    [interview] = [record for record in made if isinstance(record, Example) and "Geography" in record.key]
    assert interview.inputs["context"] == documents[interview.key]
    asked, answer, again = json.loads(str(interview.inputs["messages"]))
    assert [turn["role"] for turn in (asked, answer, again)] == ["user", "assistant", "user"]
    assert asked["content"].startswith(f"{documents[interview.key]}\nQuestion: ")
    first = asked["content"].rpartition("Question: ")[2]
    assert {first: answer["content"], again["content"]: interview.target} == {
        "Area, total": "5 sq km",
        "Area, land": "4 sq km",
    }


NOUNS = """  1 This software and database is being provided
00000001 03 n 01 dog 0 003 @ 00000002 n 0000 #p 00000003 n 0000 + 00000009 v 0101 | a pet; "the dog barked"
00000002 03 n 02 animal 0 living_being 0 001 ~ 00000001 n 0000 | what lives
00000003 03 n 01 dog_pack 0 002 ! 00000004 n 0101 ! 00000004 n 0202 | dogs
00000004 03 n 01 cat_pack 0 002 ! 00000003 n 0101 ! 00000003 n 0202 | cats
"""


def test_relations_of_wordnet_stand_between_two_defined_nouns() -> None:
    made = list(wordnet.parse_relations(archive({"data.noun": NOUNS.encode()}), "data.noun", "relation", 5))
    assert [(record.inputs["text"], record.target) for record in made if isinstance(record, Example)] == [
        ("dog: a pet\nanimal: what lives", "kind of"),
        ("dog: a pet\ndog pack: dogs", "part of"),
        ("dog pack: dogs\ncat pack: cats", "opposite of"),  # once, though both name the other
    ]


def test_conversations_end_with_the_assistant() -> None:
    said = b"conversations:\n- [Hi, Hello, 'Who are you?']\n- [Hi, Hello]\n- [One?, 1, Two?, 2]\n"
    files = archive({"c/a.yml": said})
    assert list(conversations.parse(files, "c/*.yml", "chat", 2)) == [
        Example("c/a.yml/0", "chat", {"messages": '[{"role": "user", "content": "Hi"}]'}, "Hello"),
        Example(
            "c/a.yml/2",
            "chat",
            {"messages": conversations.as_messages(["One?", "1", "Two?"])},
            "2",
        ),
    ]
    assert len(list(conversations.parse(files, "c/*.yml", "chat", 4))) == 1


def test_recipes_and_headlines_can_be_asked_for() -> None:
    recipe = {"title": "Tea", "category": None, "servings": "2", "time": None, "difficulty": None}
    recipe |= {"ingredients": ["tea"], "steps": ["Brew it."]}
    files = archive({"r.json": encoded({"t": recipe}), "n/1.txt": b"Moss wins\n\nIt grew."})
    assert list(recipes.parse(files, "r.json")) == [
        Document("t", "Tea\nServings: 2\n\nIngredients\n- tea\n\nSteps\n1. Brew it.")
    ]
    assert list(recipes.parse_examples(files, "r.json", "writing", max_characters=5)) == [
        Example("t", "writing", {"text": "Tea"}, "- tea")
    ]
    assert not list(recipes.parse_examples(files, "r.json", "writing", max_characters=4))
    assert list(articles.parse_headlines(files, "n/*.txt", "headline")) == [
        Example("n/1.txt", "headline", {"text": "It grew."}, "Moss wins")
    ]


def test_service_models_repeat_no_sentence() -> None:
    service = {
        "metadata": {"serviceFullName": "Moss Service"},
        "documentation": "<p>Keeps moss.</p>",
        "shapes": {"In": {"members": {"Name": {"documentation": "<p>The name.</p>"}, "Size": {}}}},
        "operations": {
            "Get": {"documentation": "<p>Gets <code>moss</code>.</p>", "input": {"shape": "In"}},
            "Put": {"documentation": "<p>Puts it.</p>", "input": {"shape": "In"}},
            "Ping": {},
        },
    }
    files = {"m/service-2.json.gz": gzip.compress(encoded(service))}
    assert [
        record.text for record in service_models.parse(archive(files), "m/*.gz") if isinstance(record, Document)
    ] == [
        "Moss Service\nKeeps moss.",
        "Moss Service: Get\nGets moss.\nName: The name.",
        "Moss Service: Put\nPuts it.",
    ]


def test_the_bible_comes_by_chapters_without_notes() -> None:
    rows = [
        "field,field,field,field,field",
        '"1","1","1","1","In{a note} the ""beginning""."',
        '"2","1","1","2","&gt; Light."',
    ]
    verses = "\n".join(rows)
    files = {"v.gz": gzip.compress(verses.encode()), "b.gz": gzip.compress(b'field,field\n"1","Genesis"\n')}
    assert list(bible.parse(archive(files), "v.gz", "b.gz")) == [
        Document("1/1", 'Genesis 1\nIn the "beginning". Light.')
    ]


def test_news_lines_become_articles() -> None:
    lines = "新年/t  讲话/n\n同胞/n  们/k  ：/w\n祝/v  好/a  。/w\n第二/m  篇/q\n完/v  。/w\n"
    assert list(news.parse(archive({"n.txt": lines.encode()}), "n.txt")) == [
        Document("0", "新年讲话\n同胞们：\n祝好。"),
        Document("1", "第二篇\n完。"),
    ]


def test_chinese_dictionaries_come_in_pages() -> None:
    words = wheel({"w.txt": "晨风\t清晨的风。\n晨光\t曙光。\n晨星\t星。\n".encode()})
    characters = wheel({"c.txt": "一\tx\t[yī]1.同一：咱们是~家人。\n丂\tx\t\n".encode()})
    files = archive({"w.zip": words, "c.zip": characters})
    assert [document.text for document in chinese_dictionary.parse_words(files, "w.zip", 2)] == [  # type: ignore[union-attr]
        "晨风：清晨的风。\n晨光：曙光。",
        "晨星：星。",
    ]
    assert list(chinese_dictionary.parse_characters(files, "c.zip", 2)) == [
        Document("0", "一：[yī]1.同一：咱们是一家人。")
    ]


def test_reviews_in_a_column_keep_the_categories_that_have_a_label() -> None:
    table = bz2.compress(b'category,text\nfresh,"Good, really."\nplot,A film.\nrotten,Bad.\n')
    labels = {"fresh": "positive", "rotten": "negative"}
    made = reviews.parse_column(archive({"r.bz2": table}), "r.bz2", "sentiment_en", "text", "category", labels)
    assert list(made) == [
        Example("0", "sentiment_en", {"text": "Good, really."}, "positive"),
        Example("2", "sentiment_en", {"text": "Bad."}, "negative"),
    ]


def test_reviews_that_are_in_both_files_are_left_out() -> None:
    files = archive({"pos.txt": "好\n一般\n好\n".encode(), "neg.txt": "差\n 一般\n".encode()})
    made = reviews.parse_files(files, "sentiment_zh", {"正面": "pos.txt", "负面": "neg.txt"})
    assert [(record.inputs["text"], record.target) for record in made if isinstance(record, Example)] == [
        ("好", "正面"),
        ("差", "负面"),
    ]


def test_articles_and_english_dictionary() -> None:
    entry = {"pos": [{"part_of_speech": "n.", "definitions": [{"text": "A drink."}]}, {"definitions": [{"text": "x"}]}]}
    files = archive({"d/a.txt": b"Title\n\nBody", "words_T.json": encoded({"tea": entry})})
    assert list(articles.parse(files, "d/*.txt")) == [Document("d/a.txt", "Title\n\nBody")]
    assert list(english_dictionary.parse(files, "words_*.json")) == [Document("tea", "tea, n.\n- A drink.\ntea\n- x")]


CATALOGUE = r"""# Translators.
msgid ""
msgstr "Language: zh_CN\n"

#, python-format
msgctxt "button"
msgid "Cannot find \"%(name)s\" "
"on <b>%d</b> hosts"
msgstr "在 <b>%d</b> 台主机上"
"找不到\n“%(name)s”"

#, fuzzy, python-format
msgid "A draft of this"
msgstr "草稿"

msgid "Never said in Chinese"
msgstr ""

msgid "Delete it"
msgid_plural "Delete {0} of them"
msgstr[0] "删除 {0} 个"

msgid "Lost {0} of them"
msgstr "丢失"

msgid "OK"
msgstr "确定"

msgid "XL Modal"
msgstr "XL Modal"

msgid "DELETE of them!"
msgstr "删除"

#~ msgid "No longer in use"
#~ msgstr "不再使用"
"""


def test_a_catalogue_gives_what_was_translated() -> None:
    said = dict(catalogues.messages(CATALOGUE))
    assert said['Cannot find "%(name)s" on <b>%d</b> hosts'] == "在 <b>%d</b> 台主机上找不到\n“%(name)s”"
    assert said["Delete {0} of them"] == "删除 {0} 个"
    assert len(said) == 6
    assert dict(catalogues.messages(CATALOGUE.replace("\n", "\r\n"))) == said


def test_translations_are_those_of_more_than_a_word_with_all_placeholders_each_in_one_direction() -> None:
    files = archive({"zh/a.po": CATALOGUE.encode(), "zh/b.po": CATALOGUE.encode()})
    there = list(catalogues.parse(files, "zh/*.po", ("en_zh",), 100))
    assert there == [
        Example(text, "en_zh", {"text": text}, translation)
        for text, translation in [
            ('Cannot find "%(name)s" on <b>%d</b> hosts', "在 <b>%d</b> 台主机上找不到 “%(name)s”"),
            ("Delete {0} of them", "删除 {0} 个"),
        ]
    ]
    for record in catalogues.parse(files, "zh/*.po", ("en_zh", "zh_en"), 100):
        assert isinstance(record, Example)
        back = record.task == "zh_en"
        assert (record.target if back else record.inputs["text"]) == record.key
    assert not list(catalogues.parse(files, "zh/*.po", ("en_zh",), 10))


@given(st.dictionaries(st.text('abc \\n\\t\\\\"é字', min_size=1), st.text('abc\\n\\\\"字', min_size=1)))
def test_a_catalogue_says_what_was_written_into_it(said: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        lines = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").split("\n")
        return "\n".join(f'"{line}"' for line in "\\n\n".join(lines).split("\n"))

    entries = [f"msgid {quoted(text)}\nmsgstr {quoted(translation)}\n" for text, translation in said.items()]
    assert dict(catalogues.messages("\n".join(entries))) == said


def test_markup_becomes_plain_lines() -> None:
    fragment = "<p>One &amp; <b>two</b>.</p><ul><li><p>first</p></li>\n <li>a &lt; b</li></ul>"
    assert plain(fragment) == "One & two.\n- first\n- a < b"
    assert one_line(fragment) == "One & two. - first - a < b"


def test_pages_of_a_catalogue_are_its_translations() -> None:
    entries = ('msgid "Save it"\nmsgstr "Jetzt speichern"', 'msgid "OK"\nmsgstr "OK"', 'msgid "a"\nmsgstr "Ein\\nWort"')
    made = catalogues.parse_pages(archive({"de.po": "\n\n".join(entries).encode()}), "*.po", 1)
    assert list(made) == [Document("de.po/0", "Jetzt speichern"), Document("de.po/1", "Ein Wort")]
