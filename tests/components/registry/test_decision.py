"""The record of a decision, and its page."""

import re

import pytest

from components.evaluation.statistics import Interval
from components.registry.decision import Contender, Decision, Evidence, Rule
from components.reports import decision_page

NASTY = "<script>document.title = 'broken'</script>"
CHANGE = Rule("gain", "change in bits per byte", Interval(-0.03, -0.05, -0.01), 0.0, "needs upper end below 0", "holds")
LOST = Rule("losses", f"change in source {NASTY}", Interval(0.2, 0.1, 0.3), 0.0, "needs lower end not above 0", "fails")
FEW = Rule("floors", "topic", None, None, "3 examples, fewer than 20", "not judged")
EVIDENCE = Evidence(
    challenger=Contender("model version 2", "c" * 64),
    champion=Contender("model version 1", "d" * 64),
    data={"test documents": "e" * 64},
    gate={"seed": 7, "min_gain": 0.01},
    evaluation={"seed": 8},
)


def decide(*rules: Rule) -> Decision:
    return Decision(all(rule.holds for rule in rules), "champion", rules, EVIDENCE)


def test_a_decision_is_one_sentence() -> None:
    assert str(decide(CHANGE)) == "promote: all 1 rules against the champion hold"
    assert str(decide(CHANGE, FEW)) == "promote: all 1 rules against the champion hold; 1 not judged"
    assert str(decide(LOST, CHANGE, FEW)).startswith("keep: 1 of 2 rules against the champion fail (change in source ")
    assert str(decide(*[LOST] * 5)).endswith(" and 2 more)")
    assert str(Decision(promote=False, against="itself", rules=())) == "it is the champion already: nothing to decide"


def test_a_rule_is_one_line() -> None:
    assert str(CHANGE) == "change in bits per byte: -0.0300 [-0.0500, -0.0100], needs upper end below 0: holds"
    assert str(FEW) == "topic: 3 examples, fewer than 20: not judged"


@pytest.mark.parametrize("decision", [decide(CHANGE, LOST, FEW), Decision(promote=False, against="itself", rules=())])
def test_a_decision_survives_json_in_the_same_bytes(decision: Decision) -> None:
    again = Decision.from_json(decision.to_json())
    assert again == decision
    assert again.to_json() == decision.to_json()


def test_markdown_has_a_row_for_each_rule() -> None:
    rows = decide(CHANGE, FEW).to_markdown().splitlines()[4:]
    assert rows == [
        "| change in bits per byte | -0.0300 | -0.0500, -0.0100 | needs upper end below 0 | holds |",
        "| topic |  |  | 3 examples, fewer than 20 | not judged |",
    ]


def test_the_page_holds_everything_and_asks_for_nothing() -> None:
    decision = decide(CHANGE, LOST, FEW)
    page = decision_page.render(decision)
    for text in ("model version 2", "c" * 64, "d" * 64, "e" * 64, "-0.0300", "3 examples, fewer than 20", "keep out"):
        assert text in page
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert page.count('class="interval"') == 2
    assert "prefers-color-scheme: dark" in page
    assert page == decision_page.render(Decision.from_json(decision.to_json()))


def test_the_page_of_a_first_model_has_no_champion() -> None:
    page = decision_page.render(Decision(True, "floors", (FEW,), Evidence(EVIDENCE.challenger, None, {}, {}, {})))
    assert "there is no champion" in page
