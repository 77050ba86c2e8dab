"""How models scale the frequencies of their rotary positions, so that they can read longer texts.

Each kind has the fields that it has in `rope_parameters` of `transformers`, and computes the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Positions are divided by a factor (https://arxiv.org/abs/2306.15595)."""

    factor: float


@dataclass(frozen=True, kw_only=True)
class Llama3:
    """Low frequencies are divided by the factor (Llama 3.1, https://arxiv.org/abs/2407.21783)."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


@dataclass(frozen=True, kw_only=True)
class Yarn:
    """YaRN (https://arxiv.org/abs/2309.00071): a ramp from kept to divided frequencies, and sharper attention."""

    factor: float
    original_max_position_embeddings: int
    attention_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True


@dataclass(frozen=True, kw_only=True)
class LongRope:
    """LongRoPE (https://arxiv.org/abs/2402.13753): a factor for each frequency, and others for texts beyond a window.

    A text that grows beyond it would change what was computed for its beginning, so our window ends there.
    docs/decisions.md, "A checkpoint is exact or refused"
    """

    short_factor: tuple[float, ...]
    long_factor: tuple[float, ...]
    original_max_position_embeddings: int
    factor: float
    attention_factor: float | None = None


RopeScaling = Linear | Llama3 | Yarn | LongRope


def scaled(scaling: RopeScaling, frequencies: Sequence[float], theta: float) -> list[float]:
    """The frequencies, in radians per token, after scaling. theta: the base of whose powers they are."""
    match scaling:
        case Linear():
            return [frequency / scaling.factor for frequency in frequencies]
        case Llama3():
            return [_llama3(scaling, frequency) for frequency in frequencies]
        case Yarn():
            pairs = zip(frequencies, _ramp(scaling, len(frequencies), theta), strict=True)
            return [frequency / scaling.factor * share + frequency * (1 - share) for frequency, share in pairs]
        case LongRope():
            return [frequency / factor for frequency, factor in zip(frequencies, scaling.short_factor, strict=True)]


def attention_factor(scaling: RopeScaling | None) -> float:
    """The factor of the cosines and sines."""
    if not isinstance(scaling, Yarn | LongRope):
        return 1.0
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    if isinstance(scaling, LongRope):
        longer = max(1.0, scaling.factor)
        return math.sqrt(1 + math.log(longer) / math.log(scaling.original_max_position_embeddings))
    if scaling.mscale and scaling.mscale_all_dim:
        return _sharper(scaling, scaling.mscale) / _sharper(scaling, scaling.mscale_all_dim)
    return _sharper(scaling, 1)


def _llama3(scaling: Llama3, frequency: float) -> float:
    """Which frequencies are low follows from how often they turn in the original window."""
    turns = scaling.original_max_position_embeddings * frequency / (2 * math.pi)
    if turns < scaling.low_freq_factor:
        return frequency / scaling.factor
    if turns > scaling.high_freq_factor:
        return frequency
    kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    return (1 - kept) * frequency / scaling.factor + kept * frequency


def _ramp(scaling: Yarn, count: int, theta: float) -> list[float]:
    """To which share each of the frequencies is divided."""

    def place(turns: float) -> float:
        window = scaling.original_max_position_embeddings
        return count * math.log(window / (turns * 2 * math.pi)) / math.log(theta)

    low, high = place(scaling.beta_fast or 32), place(scaling.beta_slow or 1)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * count - 1)
    width = high - low or 0.001  # as in `transformers`: a ramp without a width would divide by zero
    return [min(max((number - low) / width, 0), 1) for number in range(count)]


def _sharper(scaling: Yarn, scale: float) -> float:
    return 0.1 * scale * math.log(scaling.factor) + 1 if scaling.factor > 1 else 1.0
