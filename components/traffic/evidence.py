"""Whether one of two alternatives is worse, asked after every pair, with a stated probability of a false alarm.

In a pair of requests, drawn by coin, one is answered by the challenger and the other by the champion. Where the
challenger is not worse, it is the worse of a pair with a probability p of at most 1/2. The evidence against that, after
k of n pairs, is the likelihood ratio to p = 1/2 averaged over all p above 1/2,

    E = 2^n * integral over p from 1/2 to 1 of 2 p^k (1 - p)^(n - k) dp

which is a supermartingale with mean 1 when p is at most 1/2, so that it ever reaches 1 / a with a probability of at
most a (Ville 1939), however often one looks. docs/decisions.md, "The canary is judged after every pair"
"""

import math
import random
from dataclasses import dataclass, field
from typing import Literal

FALSE_ALARM = 0.01  # the probability that a challenger that is not worse is ever taken back
QUESTIONS = 2  # that share it: errors and latency
SLOWER = 1.25  # the challenger is slower when it takes more than so many times the champion's time in most pairs

Side = Literal["champion", "challenger"]


def log_evidence(worse: int, pairs: int) -> float:
    """The logarithm of the evidence that the challenger is the worse one in more than half of the pairs.

    In closed form E = sum over i <= k of C(n + 1, i) / ((n + 1) C(n, k)), a binomial tail and a beta function.
    """
    from scipy.special import bdtr, betaln

    tail = float(bdtr(worse, pairs + 1, 0.5))
    if tail == 0:
        return -math.inf
    return (pairs + 1) * math.log(2) + float(betaln(worse + 1, pairs - worse + 1)) + math.log(tail)


@dataclass
class PairCount:
    """How often the challenger was the worse one, of so many pairs that tell."""

    worse: int = 0
    pairs: int = 0

    def add(self, worse: bool) -> None:
        self.worse, self.pairs = self.worse + worse, self.pairs + 1

    @property
    def alarm(self) -> bool:
        """Whether it is worse beyond noise."""
        return log_evidence(self.worse, self.pairs) >= math.log(QUESTIONS / FALSE_ALARM)


@dataclass
class TrialTurn:
    """A request of the trial: who answers it, and the pair that it belongs to, if any."""

    side: Side
    trial: "Trial"
    pair: dict[Side, float | None] | None = None
    done: bool = False

    def ended(self, seconds: float | None) -> None:
        """Note how long its answer took, or None that it failed; what is said first counts."""
        if not self.done:
            self.done = True
            self.trial.note(self, seconds)


@dataclass
class Trial:
    """A challenger that answers a share of the requests until it is worse beyond noise."""

    share: float  # at most 1/2
    errors: PairCount = field(default_factory=PairCount)
    slow: PairCount = field(default_factory=PairCount)
    answered: int = 0  # by the challenger
    failed: int = 0
    reason: str | None = None  # why it was taken back
    _second: TrialTurn | None = None  # the other turn of a pair that has begun

    def turn(self) -> TrialTurn:
        """Who answers the next request. The order within a pair is drawn too, so that it tells nothing."""
        if self._second is not None:
            second, self._second = self._second, None
            return second
        if random.random() >= self.share / (1 - self.share):
            return TrialTurn("champion", self)
        pair: dict[Side, float | None] = {}
        sides: list[Side] = ["champion", "challenger"]
        random.shuffle(sides)
        first, self._second = (TrialTurn(side, self, pair) for side in sides)
        return first

    def note(self, turn: TrialTurn, seconds: float | None) -> None:
        """Note how an answer ended, and judge the pair when both its answers have."""
        if turn.side == "challenger":
            self.answered += 1
            self.failed += seconds is None
        if turn.pair is None or self.reason is not None:
            return
        turn.pair[turn.side] = seconds
        if len(turn.pair) == 2:
            self._judge(turn.pair["champion"], turn.pair["challenger"])

    def _judge(self, champion: float | None, challenger: float | None) -> None:
        if champion is not None and challenger is not None:
            self.slow.add(challenger > SLOWER * champion)
        elif champion is not None or challenger is not None:
            self.errors.add(challenger is None)
        if self.errors.alarm:
            self.reason = (
                f"of {self.errors.pairs} pairs of requests in which one of the two failed, it did in "
                f"{self.errors.worse}"
            )
        elif self.slow.alarm:
            self.reason = (
                f"it took more than {SLOWER:g} times as long as the champion in {self.slow.worse} of "
                f"{self.slow.pairs} pairs of requests"
            )
