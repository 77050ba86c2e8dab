"""Phone numbers: with the code of a country, in the national forms, or after a word that says that one follows.

Dates, prices and statistics are far more frequent, so a number has to look like a phone
number, or has to be called one.
docs/decisions.md, "Phone numbers by form or by a word before them"
"""

import re

import phonenumbers

from components.data.privacy.finder import Finder, Place, whole
from components.data.privacy.identities import BEFORE, BEGIN, END, is_other

_EXTENSION = r"(?: ?(?:x|ext\.? ?|extension |доб\.? ?|ramal |-Durchwahl ?)\d{1,6})?"

_INTERNATIONAL = re.compile(
    r"(?<![0-9A-Za-z_.+-])(?:\+|\(\+|00(?=[1-9]))(?P<code>[1-9]\d{0,2})\)?"
    rf"(?P<rest>(?:[ ().\u2013\u2014/-]{{0,3}}\d){{6,14}}){_EXTENSION}{END}"
)
# The factbook's way: [41] (31) 357-7011, [1-246] 431-0179
_BRACKETS = re.compile(
    r"(?<![0-9A-Za-z_.+-])\[\d{1,3}(?:-\d{3})?\] ?(?:\(\d{1,4}\) ?)?\d{2,}(?:[ ./-]{1,3}\d{2,}){0,4}" + END
)

# The forms of numbers within a country. Those that only digits make up begin as no other number does.
_NATIONAL = re.compile(
    rf"{BEGIN}(?P<number>"
    r"(?:(?:1|001)[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}"  # North America
    r"|[(]0[1-9]\d{1,4}[)][ /\u2013\u2014-]{0,3}\d{2,4}(?:[ -]?\d{2,4}){1,3}"  # area code in brackets: Europe, India
    r"|0[1-9]\d{1,4}(?: ?/ ?|-| )\d{3,8}(?:[ -]\d{2,4}){0,2}"  # Britain, Germany, Japan, China
    r"|0[1-9](?P<mark>[ .-]?)\d\d(?:(?P=mark)\d\d){3}"  # France
    r"|(?:\([1-9]\d\)|[1-9]\d) ?(?:9\d{4}|[1-9]\d{3})-\d{4}"  # Brazil
    r"|8[ -]?(?:\(\d{3}\)|\d{3})[ -]?\d{3}[ -](?:\d{4}|\d\d[ -]\d\d)"  # Russia
    r"|\d\d-\d{4}-\d{4}"  # Japan
    r"|[6-9]\d\d(?: \d\d){3}"  # Spain
    r"|0[1-9]\d{7,9}"  # trunk prefix and number
    r"|1[3-9]\d{9}"  # mobile, China
    r"|89\d{9}"  # mobile, Russia
    rf"){_EXTENSION}{END}(?! ?[-\u2013] ?\d)"
)
# After a word for a phone any grouping of digits is one.
_CALLED = re.compile(rf"{BEGIN}[(]?\d(?:[ ().\u2013\u2014/-]{{0,3}}\d){{6,14}}{_EXTENSION}{END}")
_WORD = re.compile(
    r"(?i)(?:\b(?:tele?ph?one?|tele?fone?|tele?fono|teléfono|phones?|tel|tél|téléphone|telefax|fax|mobile?|cell|cellulare|"
    r"cellular|celular|móvil|portable|handy|hotline|whatsapp|sms|signal|landline|helpline|rufnummer|"
    r"telefonnummer|handynummer|mobilnummer|ruf(?:en)?|call|dial|ring|text|reach|contact|appelez|appeler|joindre|"
    r"erreichen|erreichbar|anrufen|ligue|ligar|contato|chiam(?:a|ate|are)|llam(?:e|a|ar)|número|numero)\b"
    r"|тел|звон|моб|факс|номер|电话|電話|手机|手機|传真|傳真|携帯|热线|联系|拨打|致电|फोन|मोबाइल|संपर्क)"
    r"(?P<between>[^\n\d<>@;!?|]{0,20})$"
)
_YEARS = re.compile(r"(?<!\d)(?:1[4-9]|20)\d\d ?[\u2013\u2014/ -] ?(?:1[4-9]|20)\d\d(?!\d)")
_DATE = re.compile(
    r"(?:1[4-9]|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:1[4-9]|20)\d\d(?!\d)"
)
_NATIONAL_DIGITS = range(9, 14)  # with the trunk prefix or the code of North America
_FOURS = re.compile(rf"{BEGIN}(?:[A-Z]{{2}}\d\d|\d{{4}})(?:([ -])\d{{4}})(?:\1\d{{4}}){{2}}")  # as on cards
_AROUND = 20  # characters: four groups of four digits
_FEW = 9  # digits, below which nothing may stand between the word and the number


def _possible(number: str) -> bool:
    """Whether a number of this many digits can be dialled in the country of its code: `+` and digits."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _international(match: re.Match[str]) -> Place | None:
    rest = match["rest"].replace("(0)", "")
    if match[0].startswith("00") and rest.isdecimal() and not _word(match):
        return None  # zeros in front of an order's number
    return whole(match) if _possible(f"+{match['code']}{_digits(rest)}") and not _is_other(match) else None


def _brackets(match: re.Match[str]) -> Place | None:
    return whole(match) if len(_digits(match[0])) > _FEW and not _years(match) else None


def _national(match: re.Match[str]) -> Place | None:
    if len(_digits(match["number"])) not in _NATIONAL_DIGITS or _is_other(match):
        return None
    return whole(match)


def _called(match: re.Match[str]) -> Place | None:
    word = _word(match)
    if not word or _is_other(match):
        return None
    close = not word["between"].strip(" .:：-–()+#/=")
    return whole(match) if close or len(_digits(match[0])) >= _FEW else None


def _word(match: re.Match[str]) -> re.Match[str] | None:
    """The word for a phone in front of a number."""
    return _WORD.search(match.string, max(0, match.start() - BEFORE), match.start())


def _is_other(match: re.Match[str]) -> bool:
    """Whether a number is one of an order, of a card or an account, or holds dates."""
    fours = _FOURS.finditer(match.string, max(0, match.start() - _AROUND), match.end() + _AROUND)
    inside = any(four.start() < match.end() and match.start() < four.end() for four in fours)
    return inside or _years(match) or is_other(match)


def _years(match: re.Match[str]) -> bool:
    return bool(_YEARS.search(match[0]) or _DATE.search(match[0]))


FINDERS = (
    Finder("phone", _INTERNATIONAL, _international, ("+", "00")),
    Finder("phone", _BRACKETS, _brackets, ("[",)),
    Finder("phone", _NATIONAL, _national),
    Finder("phone", _CALLED, _called),
)
