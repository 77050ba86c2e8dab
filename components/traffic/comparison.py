"""Two versions on the same requests: how often they agree, how long they take and write, refuse, and which labels."""

import re
import statistics
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from components.traffic.served import Served

LATEST = 1000  # requests whose seconds are compared

_REFUSAL = re.compile(
    r"\s*(?:$|(?:i['’]?m |i am )?(?:sorry|afraid)\b"
    r"|i (?:cannot|can['’]t|can not|won['’]t|am not able|am unable)\b"
    r"|as an ai\b|es tut mir leid|ich kann (?:das |dir |ihnen )?nicht|je (?:suis désolé|ne peux pas)"
    r"|(?:很)?抱歉|对不起|我(?:不能|无法))",
    re.IGNORECASE,
)


def refuses(answer: str) -> bool:
    """Whether an answer says nothing, or begins as refusals do."""
    return _REFUSAL.match(answer) is not None


@dataclass
class SideFigures:
    """What one of the two said."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST))
    characters: int = 0
    refused: int = 0
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, served: Served) -> None:
        self.seconds.append(served.seconds)
        self.characters += sum(len(said.text) for said in served.answers)
        self.refused += sum(refuses(said.text) for said in served.answers)
        if served.labels:
            self.labels.update(f"{served.task}: {said.text}" for said in served.answers)

    def state(self, answers: int) -> dict[str, Any]:
        """Its figures over so many answers."""
        total = self.labels.total()
        return {
            "seconds": statistics.median(self.seconds),
            "characters": self.characters / answers,
            "refused": self.refused / answers,
            "labels": {label: count / total for label, count in sorted(self.labels.items())},
        }


@dataclass
class ShadowComparison:
    """The requests that the challenger was asked after the champion."""

    champion: SideFigures = field(default_factory=SideFigures)
    challenger: SideFigures = field(default_factory=SideFigures)
    requests: int = 0
    failed: int = 0  # by the challenger
    skipped: int = 0  # as others were under way
    answers: int = 0
    agreed: int = 0

    def add(self, champion: Served, challenger: Served | None) -> None:
        """Take in a request; None: the challenger failed."""
        self.requests += 1
        if challenger is None:
            self.failed += 1
            return
        self.champion.add(champion)
        self.challenger.add(challenger)
        self.answers += len(champion.answers)
        pairs = zip(champion.answers, challenger.answers, strict=True)
        self.agreed += sum(one.text.strip() == other.text.strip() for one, other in pairs)

    def state(self) -> dict[str, Any]:
        """The figures so far: medians of seconds, means over answers, and shares."""
        counts = {"requests": self.requests, "failed": self.failed, "skipped": self.skipped, "answers": self.answers}
        if not self.answers:
            return counts
        return counts | {
            "agreement": self.agreed / self.answers,
            "label_difference": self._label_difference(),
            "champion": self.champion.state(self.answers),
            "challenger": self.challenger.state(self.answers),
        }

    def _label_difference(self) -> float:
        """The total variation distance of the two distributions of labels, from 0 to 1."""
        before, now = self.champion.labels, self.challenger.labels
        if not before:
            return 0.0
        shares = [before[label] / before.total() - now[label] / now.total() for label in {*before, *now}]
        return sum(map(abs, shares)) / 2
