"""The language of a text, by py3langid, whose model comes with it."""

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

CHARACTERS = 300  # of a text that are looked at: enough to tell, and the classifier is the slowest step
MIN_CHARACTERS = 200  # a shorter text cannot prove its publisher wrong
CERTAIN = 0.99  # from here on the classifier is believed against the publisher

VARIETIES = {"wuu": "zh", "pcm": "en"}
"""Wu Chinese and Nigerian Pidgin, for which the classifier takes written Chinese and English now and then."""


def identify(text: str) -> tuple[str, float]:
    """The ISO 639 code of the text's language, and its probability."""
    language, probability = _identifier().classify(text[:CHARACTERS])
    return VARIETIES.get(language, language), probability


def contradiction(text: str, declared: str) -> str | None:
    """The language that a text certainly is in, when that is not the declared one."""
    if len(text) < MIN_CHARACTERS:
        return None
    found, probability = identify(text)
    return found if found != declared and probability >= CERTAIN else None


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
