"""Addresses: of e-mail, of the internet protocol with a port, and of network cards."""

import ipaddress
import re

from components.data.privacy.finder import Finder, Place, whole

# Scripts without spaces between words: an address of Latin letters may follow such a word directly.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LOCAL = rf"(?:[^\W{_UNSPACED}]|[.+%&'-])"
_AT = r"(?:@| ?[(\[{] ?(?:at|At|AT) ?[)\]}] ?)"
_AT_WORDS = tuple(bracket + space + at for bracket in "([{" for space in ("", " ") for at in ("at", "At", "AT"))
_DOT = r"(?:\.| ?[(\[{] ?(?i:dot) ?[)\]}] ?)"

# Top-level domains in other scripts, of those that anybody can register below: https://www.iana.org/domains/root/db
_OTHER_TLDS = (
    "中国|中國|公司|网络|網絡|台湾|台灣|香港|新加坡|我爱你|在线|中文网|网址|商城|集团|рф|бел|укр|срб|қаз|мкд|бг|мон|онлайн|сайт|"
    "дети|москва|рус|орг|ком|भारत|संगठन|ভারত|বাংলা|భారత్|இந்தியா|ලංකා|ไทย|გე|հայ|ελ|ευ|한국|닷컴|닷넷|みんな|コム|世界|企业|"
    "موقع|شبكة|السعودية|مصر|امارات|ایران|المغرب|الجزائر|تونس|قطر|الاردن|فلسطين|سورية|عمان|پاکستان|קום|ישראל"
)
_TLD = rf"(?:{_OTHER_TLDS}|xn--[a-z0-9-]{{2,59}}|[A-Za-z]{{2,24}})"

_EMAIL = re.compile(
    rf"(?:(?<!{_LOCAL})(?<!_){_LOCAL}{{1,64}}+|(?<![{_UNSPACED}])[{_UNSPACED}]{{1,24}}+){_AT}"
    rf"(?:[^\W_](?:\w|-){{0,62}}{_DOT}){{1,8}}{_TLD}"
)
# After an @ these are names of files and of versions of images: icon@2x.png
_FILES = re.compile(r"(?i)\.(?:png|jpe?g|gif|svg|webp|ico|bmp|[jt]sx?|mjs|css|html?|json|ya?ml|xml|txt|pdf|csv)$")


def _email(match: re.Match[str]) -> Place | None:
    # `git@host:path` is how git names a repository.
    return None if match[0].startswith("git@") or _FILES.search(match[0]) else whole(match)


_PORT = r"(?::\d{1,5}(?![\d]))?"
_V4 = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}"
_IPV4 = re.compile(
    # not a part of 1.2.3.4.5 nor Chrome/118.0.0.0
    rf"(?<![0-9A-Za-z_.-])(?<![A-Za-z]/){_V4}{_PORT}(?![.-]?\d)(?![A-Za-z_])",
    re.ASCII,
)
_GROUPS = rf"(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_V4}|[0-9A-Fa-f]{{0,4}})"
_IPV6 = re.compile(rf"(?<![\w:.])(?:\[({_GROUPS})\]{_PORT}|({_GROUPS})(?:%[a-z]+[0-9]{{1,3}})?(?![\w:]))", re.ASCII)

# A version and a number of a section may have four parts, too.
_COUNTED = re.compile(
    r"(?i)(?:versions?|ver\.?|v\.?|release|build|firmware|section|sect\.|chapter|§§?|abschnitt|kapitel|annex|clause|"
    r"article|finder|figure|fig\.|table|版本|第)[ :=]{0,3}(?:v\.?|r)?$"
)
BEFORE = 24  # characters in front of a number that say what it is


def _ipv4(match: re.Match[str]) -> Place | None:
    counted = _COUNTED.search(match.string, max(0, match.start() - BEFORE), match.start())
    return None if counted else whole(match)


def _ipv6(match: re.Match[str]) -> Place | None:
    found = match[1] or match[2]
    if not any(character.isdigit() for character in found):  # ab::cd is a name in a programming language
        return None
    try:
        ipaddress.IPv6Address(found)
    except ValueError:
        return None
    return whole(match)


_HEX = "[0-9A-Fa-f]"
_MAC = re.compile(
    rf"(?<![\w:.-])(?:{_HEX}{{2}}:(?:{_HEX}{{2}}:){{4}}{_HEX}{{2}}|{_HEX}{{2}}-(?:{_HEX}{{2}}-){{4}}{_HEX}{{2}}"
    rf"|{_HEX}{{4}}\.{_HEX}{{4}}\.{_HEX}{{4}})(?![\w:-])(?!\.{_HEX})",
    re.ASCII,
)


def _mac(match: re.Match[str]) -> Place | None:
    digits = match[0].replace("-", "").replace(".", "")
    return None if digits.isdecimal() else whole(match)  # a date, or a number with points


FINDERS = (
    Finder("email", _EMAIL, _email, ("@", *_AT_WORDS)),
    Finder("mac", _MAC, _mac, (":", "-", ".")),
    Finder("ip", _IPV6, _ipv6, (":",)),
    Finder("ip", _IPV4, _ipv4, (".",)),
)
