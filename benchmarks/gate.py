"""How often the gate errs, on simulated pairs of models: the level, and the power at the least gain.

    python -m benchmarks.gate

The documents are as many and as long as those that the default settings score, and two models differ on them as much as
two training runs of the default model did. For an equal model neither side is favoured: on any document a difference is
as likely as its opposite; in the skewed cases only the mean is 0. Where seeds differ, each of the two training runs is
shifted by a normal error; the gate knows its size from training runs with a few other seeds, drawn anew for each pair,
or does not know it. The last line is one JSON object.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.core import params
from components.evaluation.statistics import paired_ends
from components.registry.settings import Gate

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]
"""Differences in bits per byte of documents and pairs, with a mean of 0."""

DOCUMENTS, LENGTH, SPREAD = 308, 345, 0.93  # count; median length in bytes; standard deviation of its logarithm
DIFFERENCE = 0.08  # standard deviation, bits per byte
SLICES = {"language": (0.8, 0.2), "source": (0.36, 0.2, 0.14, 0.12, 0.1, 0.08), "length": (1 / 3, 1 / 3, 1 / 3)}
TASKS, EXAMPLES, DISCORDANT = 5, 500, 0.2  # share of the examples that only one of two equal models answers right
RESAMPLES = 2000
BATCH, BATCHES = 250, 16  # pairs; each batch has its own documents and resamples
GAINS = (0, 0.5, 1, 1.5, 2, 3, 4)  # multiples of the least gain
DEVIATIONS = (0.001, 0.002, 0.005, 0.01)  # of training runs that differ only in their seed, bits per byte
SEEDS = 5  # that were measured
DRAWS = 10  # of seeds, for each pair


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    settings = params.read("gate", Gate)
    levels = dict(show_level(settings))
    power = dict(show_power(settings))
    show_documents(settings)
    seeds = dict(show_seeds(settings))
    print(json.dumps({"stated": 1 - settings.confidence, "level": levels, "power": power, "seeds": seeds}))


def show_level(settings: Gate) -> Iterator[tuple[str, float]]:
    """How often an equal model passes the first rule."""
    print(f"An equal model passes the first rule, in % (stated: {100 * (1 - settings.confidence):.3g})\n")
    print("| differences | documents | random parts | with replacement |\n| --- | ---: | ---: | ---: |")
    for name, noise in NOISES.items():
        for documents in (20, 60, DOCUMENTS):
            ours, usual = level(noise, documents, settings.confidence)
            print(f"| {name} | {documents} | {100 * ours:.1f} | {100 * usual:.1f} |", flush=True)
            yield f"{name}, {documents}", ours


def show_power(settings: Gate) -> Iterator[tuple[str, float]]:
    """How often a model passes all rules, by its true gain."""
    print(f"\nA model passes, in %, by its true gain in bits per byte (the least gain is {settings.min_gain:g})\n")
    print("| true gain | beyond noise | and the least gain | and no loss: all rules |\n| ---: | ---: | ---: | ---: |")
    for gain in (settings.min_gain * times for times in GAINS):
        rates = passing(gain, settings)
        print(f"| {gain:.4g} | " + " | ".join(f"{100 * rate:.1f}" for rate in rates) + " |", flush=True)
        yield f"{gain:.4g}", rates[-1]


def show_documents(settings: Gate) -> None:
    """How often a gain is seen beyond noise, by the number of documents."""
    print("\nA gain is beyond noise, in %, by the number of documents\n")
    gains = [settings.min_gain * times for times in (0.5, 1, 2)]
    print("| documents | " + " | ".join(f"{gain:.4g}" for gain in gains) + " |\n" + "| ---: " * (1 + len(gains)) + "|")
    for documents in (DOCUMENTS, 3 * DOCUMENTS, 10 * DOCUMENTS):
        rates = [seen(gain, documents, settings.confidence) for gain in gains]
        print(f"| {documents} | " + " | ".join(f"{100 * rate:.1f}" for rate in rates) + " |", flush=True)


def show_seeds(settings: Gate) -> Iterator[tuple[str, float]]:
    """How often a model is found to be better and passes the least gain, by how far seeds differ."""
    gains = [settings.min_gain * times for times in (0, 1, 2, 4, 8)]
    print(f"\nA model is found to be better, in %, by the spread of seeds (measured with {SEEDS}) and its true gain\n")
    print("| standard deviation | measured | " + " | ".join(f"{gain:.4g}" for gain in gains) + " |")
    print("| ---: | --- | " + "---: | " * len(gains))
    figures, uppers = equal_pairs(settings)
    for deviation in DEVIATIONS:
        for known in (False, True):
            rates = [better(figures, uppers, gain, deviation, known, settings) for gain in gains]
            cells = " | ".join(f"{100 * rate:.1f}" for rate in rates)
            print(f"| {deviation:g} | {'yes' if known else 'no'} | {cells} |", flush=True)
            yield f"{deviation:g}, {'measured' if known else 'not measured'}", rates[0]


def equal_pairs(settings: Gate) -> tuple[Floats, Floats]:
    """The change in bits per byte of pairs of equal models, and the upper end of its interval over documents."""
    figures, uppers = [], []
    for seed in range(BATCHES):
        sizes, bits = draw(tails, DOCUMENTS, seed)
        figures.append(bits.sum(axis=0) / sizes.sum())
        uppers.append(upper_ends(sizes, bits, seed, settings.confidence))
    return np.concatenate(figures), np.concatenate(uppers)


def better(figures: Floats, uppers: Floats, gain: float, deviation: float, known: bool, settings: Gate) -> float:
    """How often both rules about the gain hold, when the pairs differ by a gain and by their seeds too."""
    random = np.random.default_rng(1)
    shape = (DRAWS, len(figures))
    moved = random.normal(0, math.sqrt(2) * deviation, shape) - gain
    measured = deviation * np.sqrt(random.chisquare(SEEDS - 1, shape) / (SEEDS - 1)) if known else np.zeros(shape)
    half = stats.t.ppf((1 + settings.confidence) / 2, SEEDS - 1) * math.sqrt(2) * measured
    # A shift of all documents moves both ends of the interval by as much.
    changes, ends = figures + moved, figures + moved + np.hypot(uppers - figures, half)
    return float(np.mean((ends < 0) & (changes <= -settings.min_gain)))


def level(noise: Noise, documents: int, confidence: float) -> tuple[float, float]:
    """How often an equal model is found to be better: by the gate, and by rows drawn with replacement."""
    ours, usual = [], []
    for seed in range(BATCHES):
        sizes, bits = draw(noise, documents, seed)
        ours.append(upper_ends(sizes, bits, seed, confidence) < 0)
        usual.append(percentile(sizes, bits, seed, confidence) < 0)
    return float(np.mean(ours)), float(np.mean(usual))


def seen(gain: float, documents: int, confidence: float) -> float:
    """How often a gain is beyond noise."""
    found = []
    for seed in range(BATCHES):
        sizes, bits = draw(tails, documents, seed)
        found.append(upper_ends(sizes, bits - gain * sizes[:, None], seed, confidence) < 0)
    return float(np.mean(found))


def draw(noise: Noise, documents: int, seed: int) -> tuple[Floats, Floats]:
    """Bytes of documents, and the differences of a batch of pairs on each, in bits, [documents, pairs]."""
    random = np.random.default_rng(seed)
    sizes = np.exp(random.normal(math.log(LENGTH), SPREAD, documents)).clip(30, 20_000)
    return sizes, noise(random, (documents, BATCH)) * sizes[:, None]


def upper_ends(sizes: Floats, bits: Floats, seed: int, confidence: float) -> Floats:
    """Upper ends as the gate computes them."""
    return paired_ends(bits, sizes, resamples=RESAMPLES, seed=seed, confidence=confidence)[1]


def percentile(sizes: Floats, bits: Floats, seed: int, confidence: float) -> Floats:
    """Upper ends of the usual percentile bootstrap."""
    random, rows = np.random.default_rng(seed), len(sizes)
    counts = np.stack([np.bincount(random.integers(rows, size=rows), minlength=rows) for _ in range(RESAMPLES)])
    ratios = counts @ bits / (counts @ sizes)[:, None]
    upper: Floats = np.quantile(ratios, (1 + confidence) / 2, axis=0)
    return upper


def passing(gain: float, settings: Gate) -> tuple[float, float, float]:
    """How often a model with this gain and unchanged tasks passes the first rule, the least gain too, and all rules."""
    first, least, everything = [], [], []
    for seed in range(BATCHES):
        sizes, bits = draw(tails, DOCUMENTS, seed)
        bits -= gain * sizes[:, None]
        first.append(upper_ends(sizes, bits, seed, settings.confidence) < 0)
        least.append(first[-1] & (bits.sum(axis=0) / sizes.sum() <= -settings.min_gain))
        everything.append(least[-1] & kept(sizes, bits, seed, settings))
    return float(np.mean(first)), float(np.mean(least)), float(np.mean(everything))


def kept(sizes: Floats, bits: Floats, seed: int, settings: Gate) -> NDArray[np.bool_]:
    """For each pair, whether no slice and no task gets worse; the tasks are those of equal models."""
    random = np.random.default_rng([seed, 1])
    chances = (DISCORDANT / 2, 1 - DISCORDANT, DISCORDANT / 2)
    tasks = [random.choice([-1.0, 0.0, 1.0], (EXAMPLES, BATCH), p=chances) for _ in range(TASKS)]
    parts = [part for part in slices(sizes) if len(part) >= settings.min_documents]
    confidence = 1 - (1 - settings.confidence) / (len(parts) + TASKS)
    losses = [(-bits[part], sizes[part]) for part in parts] + [(scores, np.ones(EXAMPLES)) for scores in tasks]
    ends = np.array([upper_ends(weights, gains, seed, confidence) for gains, weights in losses])
    none_lost: NDArray[np.bool_] = np.all(ends >= 0, axis=0)
    return none_lost


def slices(sizes: Floats) -> Iterator[NDArray[np.int64]]:
    """Rows of each slice; those by length hold the shortest, the middle and the longest documents."""
    for kind, shares in SLICES.items():
        order = np.argsort(sizes) if kind == "length" else np.arange(len(sizes))
        yield from np.split(order, (np.cumsum(shares)[:-1] * len(sizes)).astype(int))


def tails(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Differences with heavier tails than normal ones, as between two trainings."""
    return random.standard_t(5, shape) * DIFFERENCE / math.sqrt(5 / 3)


NOISES: dict[str, Noise] = {
    "as between two trainings": tails,
    "very heavy tails": lambda random, shape: random.standard_t(3, shape) * DIFFERENCE / math.sqrt(3),
    "lopsided to the good": lambda random, shape: (2 - random.gamma(4, 0.5, shape)) * DIFFERENCE,
    "lopsided to the bad": lambda random, shape: (random.gamma(4, 0.5, shape) - 2) * DIFFERENCE,
}


if __name__ == "__main__":
    main()
