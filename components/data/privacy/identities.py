"""Numbers of cards, accounts and persons, each verified by its check digits or by which numbers are issued."""

import re

from stdnum import luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.iso7064 import mod_97_10
from stdnum.it import codicefiscale
from stdnum.us import ssn

from components.data.privacy.finder import Finder, Place, when, whole

# A number stands by itself: it is no part of a word, of a longer number, of a price or of a path.
BEGIN = r"(?<![0-9A-Za-z_#$€£¥/-])(?<![0-9][.:])"
END = r"(?![0-9A-Za-z_%])(?![.:/-][0-9])(?![/-][A-Za-z])"
BEFORE = 32  # characters in front of a number that say what it is
OTHER_NUMBER = re.compile(
    r"(?i)(?:\border|\binvoice|\breceipt|\btracking|\bshipment|\bparcel|\bisbn|\bissn|\bean|\bupc|\bgtin|\bsku|\bserial|\bref\b|"
    r"\breference|\bticket|\bcase|\bbatch|\bpart|\bitem|\bmodel|\bid|\bdoi|\bpmid|\bbuild|\bversion|\brevision|\bcommit|"
    r"\btransaction|\bbestell|\brechnung|\bsendung|\bartikel|\bauftrag|\bcommande|\bfacture|\bpedido|\bfatura|\bfactura|"
    r"\bordine|\bfattura|заказ|счет|счёт|артикул|ИНН|ОГРН|订单|编号|订购|发票|注文|伝票|番号)"
    r"(?:[ -]?(?:number|no|nr|num|id|code|nummer|numéro|número|numero|номер|号|番号|n[º°])\.?)?"
    r"[\s#:：=nº°№\"'(]{0,4}$"
)


def is_other(match: re.Match[str]) -> bool:
    """Whether the words before a number say that it is that of an order, a book or the like."""
    return bool(OTHER_NUMBER.search(match.string, max(0, match.start() - BEFORE), match.start()))


# https://en.wikipedia.org/wiki/Payment_card_number: what cards begin with, and how many digits they have
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|(?:1800|2131)\d{11}|"
    r"35\d{14}|6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14,17}|8[12]\d{14}|220[0-4]\d{12}|(?:50|5[6-8]|6[0-9])\d{10,17}"
)
_CARD = re.compile(
    rf"{BEGIN}(?:\d{{4}}([ -]?)\d{{4}}\1\d{{4}}(?:\1\d{{4}}(?:\1\d{{1,3}})?|\1\d{{1,3}})?"
    rf"|\d{{4}}([ -])\d{{6}}\2\d{{4,5}}|\d{{12,19}}){END}(?![ -]\d)"
)


def _card(match: re.Match[str]) -> Place | None:
    digits = match[0].replace(" ", "").replace("-", "")
    return whole(match) if _ISSUED.fullmatch(digits) and luhn.is_valid(digits) and not is_other(match) else None


_ACCOUNT = range(15, 35)  # characters
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![0-9A-Za-z])")


def _is_account(number: str) -> bool:
    return len(number) in _ACCOUNT and mod_97_10.is_valid(number[4:] + number[:4])


def _iban(match: re.Match[str]) -> Place | None:
    """The account number without words in capitals that follow it. Of its country only the check digits are asked."""
    found = match[0]
    while found and not _is_account(found.replace(" ", "").replace("-", "")):
        found = found[: max(found.rfind(" "), found.rfind("-"), 0)]
    return Place(match.start(), match.start() + len(found)) if found else None


_BIRTHS = range(1890, 2050)


def _is_chinese(number: str) -> bool:
    # Not `ric.is_valid`: it knows only today's counties, and people keep the number of the one they were born in.
    try:
        born = ric.get_birth_date(number)
    except ValueError:
        return False
    return born.year in _BIRTHS and ric.calc_check_digit(number) == number[-1].upper()


def _is_british(number: str) -> bool:
    return number[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _is_spanish(number: str) -> bool:
    return dni.is_valid(number) or nie.is_valid(number)


FINDERS = (
    Finder("iban", _IBAN, _iban),
    Finder("cn_id", re.compile(rf"{BEGIN}[1-8]\d{{16}}[\dXx](?![0-9A-Za-z])"), when(_is_chinese)),
    Finder(
        "fr_id",
        re.compile(rf"{BEGIN}[12]( ?)\d\d\1\d\d\1(?:\d\d|2[AB])\1\d{{3}}\1\d{{3}} ?\d\d{END}"),
        when(nir.is_valid),
    ),
    Finder("credit_card", _CARD, _card),
    Finder("us_ssn", re.compile(rf"{BEGIN}\d{{3}}-\d\d-\d{{4}}{END}"), when(ssn.is_valid), ("-",)),
    Finder("br_id", re.compile(rf"{BEGIN}\d{{3}}\.\d{{3}}\.\d{{3}}-\d\d{END}"), when(cpf.is_valid), ("-",)),
    Finder(
        "in_id",
        re.compile(rf"{BEGIN}[2-9]\d{{3}} \d{{4}} \d{{4}}{END}(?! \d)"),
        when(aadhaar.is_valid),
        (" ",),
    ),
    Finder("es_id", re.compile(rf"{BEGIN}(?:\d{{8}}|[XYZ]\d{{7}})-?[A-Z]{END}"), when(_is_spanish)),
    Finder(
        "it_id",
        re.compile(r"(?<![0-9A-Za-z])[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z](?![0-9A-Za-z])"),
        when(codicefiscale.is_valid),
    ),
    Finder(
        "gb_id",
        re.compile(r"(?<![0-9A-Za-z])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?![0-9A-Za-z])"),
        when(_is_british),
    ),
)
