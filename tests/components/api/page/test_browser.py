"""The page as people use it, in Chromium."""

import math
import re
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import expect

from components.api import keys
from components.traffic import files, log
from components.traffic.settings import KeepAnswers
from tests.components.support import serving
from tests.components.support.serving import LABELLER, SETTINGS, WRITER
from tests.components.support.tiny import TASKS

PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}

FOCUSED = "((at) => at.id || at.className || at.name || at.hash)(document.activeElement)"


def ask(page, text, **options):
    for name, value in options.items():
        page.locator(f"#options [name={name}]").fill(str(value))
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#send")).to_be_visible()


def said(address, **body):
    whole = httpx.post(f"{address}/v1/chat/completions", json={"model": WRITER, **body}, timeout=60).raise_for_status()
    return whole.json()["choices"][0]["message"]["content"]


def user(text):
    return {"role": "user", "content": text}


def test_an_answer_is_that_of_the_api_with_the_settings_and_what_was_said_before(page, address):
    options = {"temperature": 1.5, "seed": 7, "max_tokens": 20, "top_k": 40, "top_p": 0.9}
    ask(page, "The quick brown fox", system="Be short.", **options)
    system = {"role": "system", "content": "Be short."}
    first = said(address, messages=[system, user("The quick brown fox")], **options)
    answers = page.locator(".answer .text")
    assert answers.nth(0).inner_text() == first
    ask(page, "And then?")
    turns = [system, user("The quick brown fox"), {"role": "assistant", "content": first}, user("And then?")]
    assert answers.nth(1).inner_text() == said(address, messages=turns, **options)
    foot = re.compile(r"version 1 · 20 tokens in [\d.]+ s · cut at max tokens")
    expect(page.locator(".foot").last).to_have_text(foot)
    page.get_by_role("button", name="New chat").click()
    expect(answers).to_have_count(0)
    ask(page, "The quick brown fox")
    assert answers.inner_text() == first


def test_stop_texts_end_an_answer_and_are_not_shown(page, address):
    options = {"max_tokens": 20, "temperature": 0}
    whole = said(address, messages=[user("天地")], **options)
    stop = whole[6:9]
    ask(page, "天地", stop=stop, **options)
    assert page.locator(".answer .text").inner_text() == whole[: whole.index(stop)].rstrip()


def test_a_token_tells_what_else_could_have_stood_there(page, address):
    ask(page, "天地", max_tokens=12, temperature=0)
    body = {"model": WRITER, "messages": [user("天地")], "max_tokens": 12, "temperature": 0}
    whole = httpx.post(f"{address}/v1/chat/completions", json={**body, "logprobs": True, "top_logprobs": 5}).json()
    told = whole["choices"][0]["logprobs"]["content"]
    first = next(one for one in told if one["token"].strip())  # white space at the beginning is not shown
    box, text = page.locator("#alternatives"), page.locator(".answer .text")
    text.locator(".token").first.hover()
    expect(box.locator(".marked .share").first).to_have_text(f"{math.exp(first['logprob']) * 100:.1f}%")
    expect(box.locator("li")).to_have_count(5 * box.locator("ul").count())
    page.mouse.move(0, 0)
    expect(box).to_be_hidden()
    text.focus()
    page.keyboard.press("ArrowRight")
    expect(box).to_be_visible()
    expect(page.locator("#said")).to_contain_text(f"{math.exp(first['logprob']) * 100:.1f}%; else ")
    page.keyboard.press("End")
    expect(text.locator(".token").last).to_have_class(re.compile("shown"))
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_two_versions_answer_side_by_side(page, address):
    page.get_by_label("Compare", exact=True).check()
    ask(page, "The quick brown fox", max_tokens=12)
    page.get_by_role("heading", name=f"{WRITER}@challenger").wait_for()
    texts = page.locator(".answer .text").all_inner_texts()
    messages = [user("The quick brown fox")]
    challenger = said(address, model=f"{WRITER}@challenger", messages=messages, max_tokens=12)
    assert texts == [said(address, messages=messages, max_tokens=12), challenger]
    expect(page.locator(".foot").nth(1)).to_contain_text("version 2")
    left, right = (page.locator(".answer").nth(place).bounding_box() for place in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]


@pytest.mark.parametrize("device", [PHONE])
def test_it_fits_a_phone(page):
    page.get_by_label("Compare", exact=True).check()
    ask(page, "jumps" * 6)
    first, second = (page.locator(".answer").nth(place).bounding_box() for place in (0, 1))
    assert first["y"] + first["height"] <= second["y"]
    page.locator(".token").first.tap()
    box = page.locator("#alternatives").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    page.get_by_text("Settings", exact=True).tap()
    expect(page.locator("#options [name=seed]")).to_be_visible()
    for view in ("Tasks", "Model", "Chat"):
        page.get_by_role("link", name=view, exact=True).tap()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 27)"


def test_the_keyboard_is_enough(page, address):
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("The quick")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("brown fox")
    page.keyboard.press("Enter")
    expect(page.locator(".foot")).to_contain_text("tokens")
    assert page.locator(".answer .text").inner_text() == said(address, messages=[user("The quick\nbrown fox")])
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED))
    assert {
        "first",
        "compare",
        "#tasks",
        "#model",
        "turns",
        "text",
        "prompt",
        "send",
        "clear",
        "temperature",
    } <= reached


def generated(address):
    return float(re.search(r'engine_generated_total{recipe="writer"} (\S+)', httpx.get(f"{address}/metrics").text)[1])


def test_stop_ends_the_work_of_the_server(page, address):
    asked = {"n": 32, "max_tokens": 40, "logit_bias": {"0": -100}}  # much work, without an early end
    page.route("**/v1/chat/completions", lambda one: one.continue_(post_data={**one.request.post_data_json, **asked}))
    before = generated(address)
    page.get_by_label("Message", exact=True).fill("fox")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".foot")).to_contain_text("stopped")
    expect(page.locator("#prompt")).to_be_focused()
    serving.until(lambda: "lmforge_running 0.0" in httpx.get(f"{address}/metrics").text, "the end")
    assert generated(address) - before < 32 * 40


def test_text_is_never_html(page, complaints):
    bad = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    body = {"model": WRITER, "messages": [user("x")], "structured_outputs": {"choice": [bad]}, "max_tokens": 64}
    page.route("**/v1/chat/completions", lambda one: one.continue_(post_data={**one.request.post_data_json, **body}))
    ask(page, bad)
    assert page.locator(".asked").inner_text() == bad
    assert page.locator(".answer .text").inner_text() == bad
    assert page.locator("#turns img, #turns script").count() == 0
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>a</b>'")
    assert [text for text in complaints if "TrustedHTML" not in text] == []
    complaints.clear()


def test_tasks_are_forms(page, address):
    page.get_by_role("link", name="Tasks").click()
    page.get_by_label("Task", exact=True).select_option("topic")
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#inputs :invalid")).to_have_count(1)  # nothing was sent: the input is needed
    page.get_by_label("text", exact=True).fill("The quick brown fox jumps.")
    page.get_by_role("button", name="Answer").click()
    body = {"model": WRITER, "inputs": {"text": "The quick brown fox jumps."}}
    found = httpx.post(f"{address}/v1/tasks/topic", json=body).json()["data"][0]
    panel = page.locator("#results .panel")
    expect(panel.locator(".said")).to_have_text(found["label"])
    expect(panel.locator("details li, ul li")).to_have_count(len(TASKS["topic"].labels))
    expect(panel.locator(".marked .share")).to_have_text(f"{found['probabilities'][found['label']] * 100:.1f}%")


def test_a_model_that_labels_chats_too(page):
    page.get_by_label("Model", exact=True).select_option(LABELLER)
    ask(page, "fox")
    expect(page.locator(".foot")).to_have_text("version 1")
    expect(page.locator(".problem")).to_have_count(0)


def test_an_error_is_one_line(page, complaints):
    ask(page, "fox " * 200)
    expect(page.locator(".problem")).to_contain_text("shorten it")
    ask(page, "fox", max_tokens=5)
    expect(page.locator(".foot").last).to_contain_text("5 tokens")
    assert all("400 (Bad Request)" in text for text in complaints)
    complaints.clear()


def test_a_setting_out_of_its_range_is_shown_in_its_field(page):
    page.locator("#options [name=top_p]").fill("2")
    page.get_by_label("Message", exact=True).fill("fox")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#options [name=top_p]")).to_be_focused()
    expect(page.locator(".turn")).to_have_count(0)


def test_the_model_shows_its_card(page, address):
    page.get_by_role("link", name="Model").click()
    panel = page.locator("#cards .panel")
    expect(panel.get_by_role("heading", name="What it can do")).to_be_visible()
    expect(panel.get_by_text("The gate has not judged this version.")).to_be_visible()
    digest = httpx.get(f"{address}/v1/models/{WRITER}").json()["digest"]
    expect(panel.locator("dl")).to_contain_text(digest)
    expect(panel.get_by_role("table").first).to_be_visible()


def test_a_key_is_asked_for_and_used(browser, registry, tmp_path):  # noqa: ARG001
    key = keys.create(tmp_path / "keys", "alice")
    with serving.running([WRITER], replace(SETTINGS, keys=tmp_path / "keys")) as guarded:
        serving.await_version(guarded, WRITER, 1)
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(guarded)
            expect(page.locator("#notice")).to_contain_text("a valid API key is needed")
            expect(page.get_by_label("API key", exact=True)).to_be_focused()
            page.keyboard.type(key)
            page.keyboard.press("Enter")
            expect(page.locator("#notice")).to_be_hidden()
            ask(page, "fox", max_tokens=5)
            expect(page.locator(".foot")).to_contain_text("5 tokens")
            page.reload()
            expect(page.locator("#first option")).to_have_count(2)
            assert key not in page.content()


def test_it_waits_for_the_first_model(browser):
    with serving.running(["nobody"]) as empty, browser.new_context() as context:
        page = context.new_page()
        page.goto(empty)
        expect(page.locator("#notice")).to_contain_text("No model answers yet")
        page.get_by_label("Message", exact=True).fill("fox")
        page.get_by_role("button", name="Send").click()
        assert page.get_by_label("Message", exact=True).input_value() == "fox"


MARKDOWN = """async (text) => {
  const { markdown } = await import("./page/markdown.js");
  const made = markdown(text, 1);
  return [made.map((one) => one.tagName).join(" "), made.map((one) => one.textContent).join(" ")];
}"""
CARDS = [
    ("---\nlicense: MIT\n---\n# A\n\nb `c` **d**\n", "H2 P", "A b c d"),
    ("| a | b |\n| --- | ---: |\n| 1 | 2 |\n", "DIV", "ab12"),
    ("- a\n  b\n- <b>c</b>\n```\n# d\n```", "UL PRE", "a\n  b<b>c</b> # d"),
    ("<script>alert(1)</script>\n```\nnever closed", "P P P", "<script>alert(1)</script> ``` never closed"),
    ("|", "DIV", ""),
    ("# ", "P", "#"),
]  # text, elements, text of these


def test_a_card_is_shown_whatever_it_has(page):
    for text, tags, shown in CARDS:
        assert page.evaluate(MARKDOWN, text) == [tags, shown]


def test_answers_are_judged_where_they_are_kept(browser, registry):  # noqa: ARG001
    keeping = replace(SETTINGS, log=KeepAnswers(share=1, file_megabytes=1, max_megabytes=2))
    with serving.running([WRITER], keeping) as address, browser.new_context() as context:
        serving.await_version(address, WRITER, 1)
        page = context.new_page()
        page.goto(address)
        ask(page, "fox", max_tokens=5)
        page.get_by_role("button", name="Bad").click()
        expect(page.get_by_text("Kept: bad")).to_be_visible()
        page.get_by_role("button", name="Correct").click()
        page.keyboard.press("Control+A")
        page.keyboard.type("A quick one.")
        page.get_by_label("A model may be trained on it").check()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Kept: corrected")).to_be_visible()
    rows = files.rows(log.FOLDER, log.FEEDBACK).to_pylist()
    told = [(row["thumb"], row["corrected"], row["consent"]) for row in rows]
    assert told == [("down", None, False), (None, "A quick one.", True)]
