"""Language identification by py3langid, which includes its model."""

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

CHARACTERS = 300  # of a text that are classified: enough to identify it, and the classifier is the slowest step
MIN_CHARACTERS = 200  # a shorter text cannot overrule its publisher
CERTAIN = 0.99  # the probability from which the classifier overrules the publisher

VARIETIES = {"wuu": "zh", "pcm": "en"}
"""Wu Chinese and Nigerian Pidgin, which the classifier sometimes reports for written Chinese and English."""


def identify(text: str) -> tuple[str, float]:
    """The ISO 639 code of the text's language, and its probability."""
    language, probability = _identifier().classify(text[:CHARACTERS])
    return VARIETIES.get(language, language), probability


def contradiction(text: str, declared: str) -> str | None:
    """The language that a text is certainly in, if that is not the declared one.

    docs/decisions.md, "Publishers are believed about language"
    """
    if len(text) < MIN_CHARACTERS:
        return None
    found, probability = identify(text)
    return found if found != declared and probability >= CERTAIN else None


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
