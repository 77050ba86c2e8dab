"""The special tokens of a tokenizer, and which of them has which role, from the files of its folder."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
PADDING = "<|pad|>"
MASK = "<|mask|>"
SENTINEL = "<|sentinel_{}|>"  # each stands for a span that an encoder-decoder has to generate
SPECIAL_TOKENS = (END_OF_TEXT, START_OF_TURN, END_OF_TURN, PADDING, MASK)

# What separates documents, where `eos_token` names the end of a turn, as in chat models: Qwen, SmolLM; Llama 3.
ENDS_OF_TEXT = (END_OF_TEXT, "<|end_of_text|>")
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
LISTS = ("additional_special_tokens", "extra_special_tokens")  # further special tokens, without a role


@dataclass(frozen=True)
class TokenizerFiles:
    """What stands beside a `tokenizer.json`: names by role, and the chat template."""

    names: Mapping[str, str] = field(default_factory=dict)  # `eos_token` and the like to the token
    others: frozenset[str] = frozenset()  # special tokens without a role
    end_ids: tuple[int, ...] = ()  # that end an answer, of `generation_config.json`
    chat_template: str | None = None
    max_length: float | None = None  # in tokens: how much a checkpoint says that it reads

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read those of a folder; any of them may be missing."""
        config = _read(folder / "special_tokens_map.json") | _read(folder / "tokenizer_config.json")
        ends = _read(folder / "generation_config.json").get("eos_token_id", [])
        return cls(
            names={role: _content(config[role]) for role in ROLES if config.get(role)},
            others=frozenset(_others(config)),
            end_ids=tuple(ends if isinstance(ends, list) else [ends]),
            chat_template=_template(folder, config),
            max_length=config.get("model_max_length"),
        )

    def config(self, chat_template: str) -> dict[str, object]:
        """The `tokenizer_config.json` for `transformers`, which then takes `tokenizer.json` as it is."""
        others = {"extra_special_tokens": sorted(self.others), "model_max_length": self.max_length}
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **self.names,
            **{name: value for name, value in others.items() if value},
            "chat_template": chat_template,
            "clean_up_tokenization_spaces": False,
        }


@dataclass(frozen=True)
class Roles:
    """Ids of the special tokens; None where a tokenizer has none."""

    end_of_text: int | None  # ends a document
    start: tuple[int, ...]  # before a text, as its post-processor sets them
    end: tuple[int, ...]  # behind it
    padding: int | None
    mask: int | None
    unknown: int | None

    @classmethod
    def of(cls, tokenizer: Mapping[str, Any], files: TokenizerFiles, special: Mapping[str, int]) -> Self:
        """Those of the content of a `tokenizer.json`, with the ids of its special tokens."""
        named = {role: special[name] for role, name in files.names.items() if name in special}
        start, end = frame(tokenizer.get("post_processor"), special)
        ends = [special[name] for name in ENDS_OF_TEXT if name in special]
        ends += [named[role] for role in ("eos_token", "sep_token") if role in named]
        ends += [*files.end_ids, *end, *([special["</s>"]] if "</s>" in special else [])]
        unknown = tokenizer["model"].get("unk_token")
        return cls(
            end_of_text=ends[0] if ends else None,
            start=start,
            end=end,
            padding=special.get(PADDING, named.get("pad_token")),
            mask=special.get(MASK, named.get("mask_token")),
            unknown=special.get(unknown, named.get("unk_token")) if unknown else tokenizer["model"].get("unk_id"),
        )


def frame(post_processor: Mapping[str, Any] | None, special: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
    """The special tokens that a post-processor sets before and behind a text."""
    kind = post_processor["type"] if post_processor else None
    if not post_processor or kind == "ByteLevel":
        return (), ()
    if kind == "Sequence":
        frames = [frame(part, special) for part in post_processor["processors"]]
        return tuple(token for start, _ in frames for token in start), tuple(t for _, end in frames for t in end)
    if kind in ("BertProcessing", "RobertaProcessing"):
        return (post_processor["cls"][1],), (post_processor["sep"][1],)
    parts = post_processor["single"]  # a template
    place = next(n for n, part in enumerate(parts) if "Sequence" in part)
    ids = post_processor["special_tokens"]
    sides = parts[:place], parts[place + 1 :]
    return tuple(tuple(t for part in side for t in ids[part["SpecialToken"]["id"]]["ids"]) for side in sides)


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return content


def _content(token: Any) -> str:
    """The text of a token, which stands there as such or with its properties."""
    return str(token["content"] if isinstance(token, Mapping) else token)


def _others(config: Mapping[str, Any]) -> Iterator[str]:
    for name in LISTS:
        listed = config.get(name) or []
        yield from map(_content, listed.values() if isinstance(listed, Mapping) else listed)
    yield from (token["content"] for token in config.get("added_tokens_decoder", {}).values() if token.get("special"))


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The chat template: in a file of its own, or in the configuration, where there may be several by name."""
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    found = config.get("chat_template")
    if isinstance(found, list):
        by_name = {template["name"]: template["template"] for template in found}
        return by_name.get("default")
    return found
