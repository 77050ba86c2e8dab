"""Tags of languages (BCP 47), such as `zh-Hant`.

docs/decisions.md, "Scripts are one language where settings count languages"
"""


def primary(tag: str) -> str:
    """The language of a tag, without script and region: `zh` of `zh-Hant`, `pt` of `pt_BR`."""
    return tag.replace("_", "-").partition("-")[0].lower()
