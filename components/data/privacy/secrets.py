"""Keys and passwords, by the fixed forms that their issuers give them.

Forms: https://github.com/Yelp/detect-secrets/tree/master/detect_secrets/plugins and the issuers' own pages.
"""

import re

from components.data.privacy.finder import Finder, Place, value, whole

_FREE = r"(?<![0-9A-Za-z_-])"  # where a key begins
_DONE = r"(?![0-9A-Za-z_-])"  # where it ends

BEGINNINGS = (
    r"AKIA|ASIA|ABIA|ACCA",
    r"gh[pousr]_|github_pat_",
    r"sk-[0-9A-Za-z_-]{16}",
    r"xox[abeoprs]-|AIza|[srp]k_(?:live|test)_|glpat-|hf_|npm_|pypi-AgE|SG\.|dop_v1_|shp(?:at|ca|pa|ss)_|:AA",
    r"eyJ",
    r"(?i:secret[ _-]?(?:access[ _-]?)?key)",
)
"""What a secret within a line begins with or has before it, in the syntax of RE2; a password has an @ behind it."""


def _mixed(match: re.Match[str]) -> Place | None:
    """A match whose value has small letters, capitals and digits, as random characters have and words have not."""
    found = match["value"]
    has = (str.isdigit, str.isupper, str.islower)
    return value(match) if all(any(map(kind, found)) for kind in has) else None


_PASSWORD = re.compile(r"://[^\s/:@<>]{1,64}:(?P<value>[^\s/@<>]{1,128})@")
_JWT = re.compile(rf"{_FREE}eyJ[\w-]{{8,2000}}\.eyJ[\w-]{{8,8000}}\.[\w-]{{0,2000}}", re.ASCII)
_AWS_ID = re.compile(r"(?<![0-9A-Za-z])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![0-9A-Za-z])")
_AWS_SECRET = re.compile(
    r"(?i:secret[ _-]?(?:access[ _-]?)?key)[\"']?\s{0,3}[:=]{1,2}>?\s{0,3}[\"']?"
    r"(?P<value>[0-9A-Za-z/+]{40})(?![0-9A-Za-z/+=])"
)
_GITHUB = re.compile(
    rf"{_FREE}(?:gh[pousr]_[0-9A-Za-z]{{36,255}}|github_pat_[0-9A-Za-z]{{22}}_[0-9A-Za-z]{{59}}){_DONE}"
)
_OPENAI = re.compile(rf"{_FREE}(?P<value>sk-(?!ant-)[0-9A-Za-z_-]{{20,256}}){_DONE}")
_OTHERS = re.compile(
    _FREE + r"(?:"
    r"sk-ant-[0-9A-Za-z_-]{20,256}"  # Anthropic
    r"|xox[abeoprs]-[0-9A-Za-z-]{10,255}"  # Slack
    r"|AIza[0-9A-Za-z_-]{35}"  # Google
    r"|[srp]k_(?:live|test)_[0-9A-Za-z]{16,255}"  # Stripe
    r"|glpat-[0-9A-Za-z_-]{20,64}"  # GitLab
    r"|hf_[0-9A-Za-z]{34}"  # Hugging Face
    r"|npm_[0-9A-Za-z]{36}"
    r"|pypi-AgE[0-9A-Za-z_-]{50,255}"
    r"|SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}"  # SendGrid
    r"|dop_v1_[0-9a-f]{64}"  # DigitalOcean
    r"|shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}"  # Shopify
    r"|[0-9]{8,10}:AA[0-9A-Za-z_-]{33}"  # Telegram
    r")" + _DONE
)

ARMOUR = "-----BEGIN"
_BREAK = r"(?:\\[nr]|\s){1,4}"  # also as it is written in a string of a program
_END = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
PRIVATE_KEY = re.compile(
    rf"{ARMOUR} [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_BREAK}[A-Z][A-Za-z-]{{1,30}}: [^\n\\]{{0,100}}){{0,4}}"  # its algorithm, its owner
    rf"(?:{_BREAK}[0-9A-Za-z+/=]{{17,8000}}+){{1,400}}+"
    rf"(?:{_BREAK}[0-9A-Za-z+/=]{{1,64}}(?={_BREAK}-----END))?"
    rf"(?:{_BREAK}{_END})?"
)
"""A key goes over lines. Of one that was cut off there is no end."""

FINDERS = (
    Finder("password", _PASSWORD, value, ("://",)),
    Finder("jwt", _JWT, whole, ("eyJ",)),
    Finder("aws_key", _AWS_ID, whole, ("AKIA", "ASIA", "ABIA", "ACCA")),
    Finder("aws_key", _AWS_SECRET, _mixed, ("ey",)),
    Finder("github_key", _GITHUB, whole, ("gh", "github_pat_")),
    Finder("openai_key", _OPENAI, _mixed, ("sk-",)),
    Finder("api_key", _OTHERS, whole, ("-", "_", "AIza", "SG.", ":AA")),
)
