"""The section `evaluate` of `params.yaml`."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Lt


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How much of the test split to score, and the confidence of the intervals."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    max_bytes_per_source: Annotated[int, Ge(1)]
    max_examples: Annotated[int, Ge(1)]  # of each task
    tokens_per_batch: Annotated[int, Ge(1)]
    max_new_tokens: Annotated[int, Ge(1)]
    repetition_penalty: Annotated[float, Ge(1)]  # of free text; 1 is none
    verbatim_documents: Annotated[int, Ge(1)]  # of the train split, which the model has to continue
    verbatim_prompt: Annotated[int, Ge(1)]  # tokens of them in the prompt
    verbatim_tokens: Annotated[int, Ge(1)]  # tokens that follow; all of them right is a verbatim completion
    samples: Annotated[int, Ge(0)]  # shown on the report page, of each source and each task
    resamples: Annotated[int, Ge(100)]
    confidence: Annotated[float, Gt(0), Lt(1)]
    seed: Annotated[int, Ge(0)]
