"""The definition of a task."""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True)
class Task:
    """Text in, text out, and a score for the text.

    `template` makes the user message from the inputs. The window is small, so its own words are few, and
    `long_field` names the input that may be cut at its end. With `labels` (in this order) the answer is one
    of them, without it is free text; when the task is `extractive`, the answer is a verbatim part of the
    long field, where a model that cannot generate may mark it. `score` takes prediction and target and returns
    0 (wrong) to 1 (right); its mean over examples is the `metric`.
    """

    name: str
    template: str
    long_field: str
    metric: str
    score: Callable[[str, str], float]
    labels: tuple[str, ...] = ()
    extractive: bool = False

    def prompt(self, inputs: Mapping[str, str]) -> str:
        """The user message; the assistant's answer to it is the target."""
        return self.template.format_map(inputs)

    def inputs(self, message: str) -> dict[str, str] | None:
        """The inputs from which `prompt` makes a message; None when it is not a prompt of this task.

        Every field but the long one is a part of a single line, so the end of the long field is unambiguous.
        """
        found = self._pattern.fullmatch(message)
        return found and found.groupdict()

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        pattern = ""
        for literal, field, _, _ in Formatter().parse(self.template):
            pattern += re.escape(literal)
            if field is not None:
                content = "(?s:.*)" if field == self.long_field else r"[^\n]*"
                pattern += f"(?P<{field}>{content})"
        return re.compile(pattern)
