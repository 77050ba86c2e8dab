"""The duration of the stages that do not train, by the amount of their data: the estimate of a first run.

Measured on two cores; after the first run it is corrected by durations measured on this machine (`durations`).
docs/decisions.md, "How long a run will take: a probe, not a share of the peak"
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.data.sources.source import Source
from components.evaluation.settings import Evaluate

MEGABYTE = 1_000_000
TYPICAL_MEGABYTES = 3.8  # of text in a source that states none: the mean of the nine default ones
BYTES_PER_TOKEN = 3.0
SHARE_WRITTEN = 0.4  # of the tasks that have answers in free text: two of five
READ_PER_WRITTEN = 3  # tokens that are read in the time in which one is generated


@dataclass(frozen=True)
class Cost:
    """The duration of a stage: fixed seconds, and seconds per megabyte of text."""

    fixed: float
    per_megabyte: float

    def seconds(self, megabytes: float) -> float:
        """Seconds for this much text."""
        return self.fixed + self.per_megabyte * megabytes


OF_TEXT = {
    "ingest": Cost(3, 0.3),
    "validate@raw": Cost(10, 0.03),
    "prepare": Cost(4, 0.5),
    "validate@prepared": Cost(10, 0.03),
    "start": Cost(3, 0.0),
    "tokenizer": Cost(3, 0.07),
    "encode": Cost(3, 0.03),
}
PACKAGE = 10.0
AFTER = 15.0  # registering, the gate with its timing of both models, and the report


def of_text(sources: Sequence[Source]) -> dict[str, float]:
    """Seconds of the stages before training."""
    megabytes = sum(map(_megabytes, sources))
    return {name: cost.seconds(megabytes) for name, cost in OF_TEXT.items()}


def tokens_to_evaluate(evaluate: Evaluate, prompt: int, sources: Sequence[Source]) -> float:
    """Tokens that an evaluation reads with prompts of this length.

    Generated tokens count as the tokens that would be read in the same time.
    """
    tasks = {kind for source in sources for kind in source.yields} - {"documents"}
    documents = evaluate.max_bytes_per_source * len(sources) / BYTES_PER_TOKEN
    examples = evaluate.max_examples * len(tasks) * prompt
    written = evaluate.max_examples * len(tasks) * SHARE_WRITTEN * evaluate.max_new_tokens
    verbatim = evaluate.verbatim_documents * evaluate.verbatim_tokens
    return documents + examples + READ_PER_WRITTEN * (written + verbatim)


def _megabytes(source: Source) -> float:
    """Megabytes of text in a source: by its cap, or by its files on this machine, or else the typical amount."""
    files = source.local_files()
    found = sum(file.stat().st_size for file in files) / MEGABYTE if files else TYPICAL_MEGABYTES
    return min(found, source.cap_mb or found)
