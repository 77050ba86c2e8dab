"""Personal addresses and numbers are replaced by placeholders, which a model may learn to write instead."""

import ipaddress
import re

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@(?!\dx\.)[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}", re.ASCII)  # not icon@2x.png
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)(?![A-Za-z_])", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])", re.ASCII)

# Only shapes that are hardly ever anything but a phone number, because dates, prices, versions and statistics
# are far more frequent. `\d` is any digit here: Chinese print has full-width ones.
# docs/decisions.md, "Phone numbers by strict patterns"
PHONE = re.compile(
    r"(?<![\dA-Za-z.,+-])(?:"
    r"(?:\+\d{1,3}|\(\+\d{1,3}\)|\[\d{1,3}(?:-\d{3})?\])[ -]?"  # country code: +44, (+44), [44]
    r"(?!(?:1\d|20)\d\d-(?:1\d|20)\d\d(?!\d))\(?\d(?:[ ()./-]{0,2}\d){5,13}"  # no years after a footnote's mark
    r"|(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}"  # North America
    r"|1[3-9]\d{9}"  # mobile, China
    r"|(?:[(（][0０]\d{2,3}[)）][ —－-]{0,2}|[0０]\d{2,3}[ —－-]{1,2})\d{7,8}"  # area code and number, China
    r")(?![.,]?\d|[A-Za-z-])"
)


def mask(text: str) -> str:
    """Replace e-mail addresses, IP addresses and phone numbers by `<email>`, `<ip>` and `<phone>`. Idempotent."""
    masked = _mask_once(text)
    while masked != text:  # some matches appear only once a placeholder is set before them
        text, masked = masked, _mask_once(masked)
    return text


def _mask_once(text: str) -> str:
    if "@" in text:
        text = EMAIL.sub("<email>", text)
    text = _IPV6.sub(_ip, _IPV4.sub(_ip, text))
    return PHONE.sub("<phone>", text)


def _ip(match: re.Match[str]) -> str:
    found = match[0]
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return found
    return "<ip>" if found.strip(":") else found
