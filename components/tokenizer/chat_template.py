"""Chat templates: conversations as text, in which what is special and what is trained can be told from contents.

A template is Jinja, as in `transformers`, and runs in a sandbox. What a user wrote is data: where a content holds a
special token's name, the name is broken before the template is rendered and put together again after the special tokens
of the template itself have been found.
docs/decisions.md, "Contents of a conversation are data"
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from components.core.errors import BadData, RefusedTurns
from components.tokenizer.message import Message

# ChatML, as in Qwen: https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/tokenizer_config.json
# The marks are those of `transformers`: https://huggingface.co/docs/transformers/chat_templating
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}"
    "{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MARKS = re.compile(r"{%-?\s*generation\s*-?%}")

# A template may ask for today's date. Tokens must not change over night, so a fixed day takes its place: that which
# Llama 3 falls back on. docs/decisions.md, "The date of a chat template stands still"
DAY = date(2024, 7, 26)
ASKED_DATE = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")

# Nobody can write what is drawn anew in each process: a text never contains it.
NONCE = secrets.token_hex(8)
GENERATION, GENERATED = f"\ufdd0{NONCE}(\ufdd1", f"\ufdd0{NONCE})\ufdd1"
BROKEN = f"\ufdd0{NONCE}." + "{}\ufdd1"  # a character that begins a special token's name in a content
LAST = f"\ufdd0{NONCE}!" + "{}\ufdd1"  # the last character of an assistant's content


def control_name(token: int) -> str:
    """The name under which text to encode shows a special token."""
    return f"\ufdd0{NONCE}{token}\ufdd1"


@dataclass(frozen=True)
class Rendered:
    """A conversation as text, with `control_name` for special tokens; places are counted in characters."""

    text: str
    special: Sequence[tuple[int, int]]  # where each special token stands: its first character, and the one behind
    contents: Sequence[int]  # the place behind the content of each turn of the assistant
    marked: Sequence[tuple[int, int]]  # the parts that the template marks as written by the assistant


class ChatTemplate:
    """A template with the special tokens of its tokenizer: `special` maps their names to ids."""

    def __init__(self, source: str, special: Mapping[str, int], names: Mapping[str, str]) -> None:
        self.source = _with_fixed_date(source)
        self._names = dict(names)  # `bos_token` and the like
        self._special = dict(special)
        alternatives = "|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)"
        self._named = re.compile(f"(?={alternatives}).", re.DOTALL)
        self._named_or_last = re.compile(f"(?={alternatives}).|\\S(?=\\s*\\Z)", re.DOTALL)
        self._parts = re.compile(f"\ufdd0{NONCE}(?P<kind>[.!()])(?P<code>\\d*)\ufdd1|(?P<special>{alternatives})")
        try:
            self._template = _ENVIRONMENT.from_string(self.source)
        except jinja2.TemplateError as error:
            raise BadData(f"the chat template is no Jinja: {error}") from None

    def render(self, messages: Sequence[Message], *, answer_follows: bool) -> Rendered:
        """A conversation, with the opened turn of the assistant at its end where an answer follows.

        Raises `RefusedTurns` when the template refuses it.
        """
        turns = [{"role": message["role"], "content": self._guarded(message)} for message in messages]
        try:
            text = self._template.render(messages=turns, add_generation_prompt=answer_follows, **self._names)
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise RefusedTurns(f"the chat template refuses a conversation of {_roles(messages)}: {error}") from None
        return self._read(text)

    def trained(self, messages: Sequence[Message], whole: Rendered) -> list[tuple[int, int]]:
        """What the assistant writes in each of its turns, with the end of the turn: the parts of the text with loss.

        A template's own marks say it; without them a turn begins where the prompt for it ends, and ends with the first
        special token behind its content. Raises `RefusedTurns` when the template shows the turns otherwise.
        """
        turns = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        if MARKS.search(self.source):
            if len(whole.marked) != len(turns):
                raise RefusedTurns(
                    f"the chat template marks {len(whole.marked)} parts in {len(turns)} turns of assistants"
                )
            return list(whole.marked)
        if len(whole.contents) != len(turns):
            raise RefusedTurns(
                f"the chat template shows {len(whole.contents)} of {len(turns)} turns of assistants: without "
                "{% generation %} marks nothing says what of them is trained"
            )
        starts = [self._start(messages[:turn], whole) for turn in turns]
        ends = [whole.special[ending(whole, content)][1] for content in whole.contents]
        return list(zip(starts, ends, strict=True))

    def _start(self, before: Sequence[Message], whole: Rendered) -> int:
        prompt = self.render(before, answer_follows=True).text
        if not whole.text.startswith(prompt):
            raise RefusedTurns(
                f"the chat template shows a conversation of {_roles(before)} otherwise when it goes on: without "
                "{% generation %} marks nothing says what of it is trained"
            )
        return len(prompt)

    def _guarded(self, message: Message) -> str:
        """A content without names of special tokens; the last character of an assistant's is marked."""
        content = message["content"]
        if message["role"] != "assistant":
            return self._named.sub(lambda found: BROKEN.format(ord(found[0])), content)
        end = len(content.rstrip())
        if not end:
            return LAST.format("") + content
        return self._named_or_last.sub(
            lambda found: (LAST if found.end() == end else BROKEN).format(ord(found[0])), content
        )

    def _read(self, text: str) -> Rendered:
        """Text from a template: what stands for characters is put back, names of special tokens are replaced."""
        out: list[str] = []
        size, end, opened = 0, 0, 0
        special: list[tuple[int, int]] = []
        contents: list[int] = []
        marked: list[tuple[int, int]] = []
        for part in self._parts.finditer(text):
            literal, end = text[end : part.start()], part.end()
            name, kind, code = part["special"], part["kind"], part["code"]
            shown = control_name(self._special[name]) if name else chr(int(code)) if code else ""
            start = size + len(literal)
            size = start + len(shown)
            out += [literal, shown]
            if name:
                special.append((start, size))
            elif kind == "!":
                contents.append(size)
            elif kind == "(":
                opened = size
            elif kind == ")":
                marked.append((opened, size))
        return Rendered("".join([*out, text[end:]]), special, contents, marked)


def ending(rendered: Rendered, content: int) -> int:
    """Which special token ends the turn whose content ends at a place. Raises `BadData` when none does."""
    found = next((number for number, (start, _) in enumerate(rendered.special) if start >= content), None)
    if found is None:
        raise BadData("the chat template sets no special token behind an answer: a model would not know where to end")
    return found


def plain(start: str, end: str, *, framed: bool) -> str:
    """The template of a tokenizer that has none: turns separated by the token that ends a text.

    `framed`: the model has read texts with that token behind each, and nothing else is added to a content.
    docs/decisions.md, "A checkpoint without a chat template gets a plain one"
    """
    role = "" if framed else "{{ message['role'] + '\\n' }}"
    content = f"{{{{ message['content'] + {json.dumps(end)} }}}}"
    opening = "" if framed else "{% if add_generation_prompt %}{{ 'assistant\\n' }}{% endif %}"
    return (
        f"{{{{ {json.dumps(start)} }}}}{{% for message in messages %}}{role}"
        f"{{% if message['role'] == 'assistant' %}}{{% generation %}}{content}{{% endgeneration %}}"
        f"{{% else %}}{content}{{% endif %}}{{% endfor %}}{opening}"
    )


class _Generation(Extension):
    """The tag `{% generation %}`: what stands in it is written by the assistant."""

    tags = {"generation"}  # noqa: RUF012 (a class variable of Jinja's)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    def _marked(self, caller: Callable[[], str]) -> str:
        return f"{GENERATION}{caller()}{GENERATED}"


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja as `transformers` sets it up."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    return environment


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _with_fixed_date(source: str) -> str:
    """The template with a date in place of today's, so that it gives the same text everywhere and each day."""
    formats = {asked[2] for asked in ASKED_DATE.finditer(source)}
    if not formats or "macro strftime_now" in source:
        return source
    dates = json.dumps({asked: DAY.strftime(asked) for asked in sorted(formats)})
    return "{%- macro strftime_now(format) -%}{{ " + dates + "[format] }}{%- endmacro -%}\n" + source


def _roles(messages: Sequence[Message]) -> str:
    return ", ".join(message["role"] for message in messages) or "no messages"


_ENVIRONMENT = _environment()
