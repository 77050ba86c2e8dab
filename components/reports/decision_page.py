"""The page about a decision: one HTML file that loads nothing else, light or dark like the reader's system."""

from pathlib import Path

from markupsafe import Markup

from components.core import templates
from components.registry.decision import GROUPS, Decision, Group, Rule
from components.reports.charts import Scale

TEMPLATE = Path(__file__).with_name("decision.html.j2")
WIDTH, HEIGHT = 220.0, 22.0  # of an interval
TITLES: dict[Group, tuple[str, str]] = {
    "gain": (
        "Is it better?",
        "Both models on the same test documents, challenger minus champion. Shown beyond noise, or it stays out. "
        "The noise is that of the documents; where the spread of seeds was measured, that of the trainings too.",
    ),
    "floors": (
        "Is it good enough?",
        "What any champion has to show by itself: the unlucky end of each interval counts.",
    ),
    "losses": (
        "What gets worse?",
        "Challenger minus champion, by language, source, length and task. Only a loss beyond noise keeps a model out; "
        "each interval is widened for the number of these rules.",
    ),
    "safety": ("Is it safe?", "Shares of the texts that the challenger wrote in its evaluation."),
    "cost": ("What does it cost?", "Both models by turns on the machine that judged, one prompt at a time."),
    "lineage": ("Where does it come from?", "Whether every step back to the code and the data can be followed."),
}


def render(decision: Decision) -> str:
    """The page about a decision that has evidence."""
    return templates.load(TEMPLATE).render(
        decision=decision,
        evidence=decision.evidence,
        change=next((rule for rule in decision.rules if rule.group == "gain" and rule.figure), None),
        counts={verdict: sum(rule.verdict == verdict for rule in decision.rules) for verdict in STYLES},
        groups=[
            (*TITLES[group], rules)
            for group in GROUPS
            if (rules := [rule for rule in decision.rules if rule.group == group])
        ],
        draw=draw,
        styles=STYLES,
    )


STYLES = {"holds": "good", "fails": "bad", "not judged": "none"}


def draw(rule: Rule) -> Markup:
    """The interval of a rule with its limit, as inline SVG; its colours come from the page."""
    if rule.figure is None or rule.limit is None:
        return Markup()
    ends = (rule.figure.low, rule.figure.high, rule.figure.value, rule.limit)
    room = (max(ends) - min(ends) or abs(rule.limit) or 1.0) * 0.08
    scale = Scale(min(ends) - room, max(ends) + room, 0.0, WIDTH)
    low, high, value, limit = (scale(end) for end in ends)
    middle = HEIGHT / 2
    return Markup(
        f'<svg class="{STYLES[rule.verdict]}" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-label="{rule.value}, {rule.interval}; limit {rule.limit:.4g}">'
        f'<line class="limit" x1="{limit:.1f}" x2="{limit:.1f}" y1="1" y2="{HEIGHT - 1:g}"/>'
        f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>'
        f'<circle cx="{value:.1f}" cy="{middle:g}" r="4"/></svg>'
    )
