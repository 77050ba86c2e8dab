"""Language identification by py3langid, which includes its model."""

import statistics
from collections import Counter
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

CHARACTERS = 300  # that are classified at once: enough to identify a text, and the classifier is the slowest step
PLACES = 5  # of a long text that are classified: a licence may stand before and behind it, in another language
MIN_CHARACTERS = 200  # a shorter text cannot overrule its publisher
CERTAIN = 0.99  # the probability from which the classifier overrules the publisher

VARIETIES = {"wuu": "zh", "pcm": "en"}
"""Wu Chinese and Nigerian Pidgin, which the classifier sometimes reports for written Chinese and English."""


def identify(text: str) -> tuple[str, float]:
    """The ISO 639 code of the language of most places of a text, and the median of its probabilities there."""
    found = [_classify(place) for place in places(text)]
    language = Counter(code for code, _ in found).most_common(1)[0][0]
    return language, statistics.median(probability if code == language else 0.0 for code, probability in found)


def contradiction(text: str, declared: str) -> str | None:
    """The language that a text is certainly in, if that is not the declared one.

    Most texts are in the declared one where they begin, and no other place of those is classified.
    docs/decisions.md, "Publishers are believed about language"
    """
    if len(text) < MIN_CHARACTERS or not _overrules(*_classify(text[:CHARACTERS]), declared):
        return None
    found, probability = identify(text)
    return found if _overrules(found, probability, declared) else None


def places(text: str) -> list[str]:
    """Evenly spaced parts of a text, the first of which is its beginning; the whole text when it is short."""
    count = max(1, min(PLACES, len(text) // CHARACTERS))
    step = max(1, len(text) // count)
    return [text[start : start + CHARACTERS] for start in range(0, step * count, step)]


def _overrules(found: str, probability: float, declared: str) -> bool:
    return found != declared and probability >= CERTAIN


def _classify(text: str) -> tuple[str, float]:
    language, probability = _identifier().classify(text)
    return VARIETIES.get(language, language), probability


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
