"""Settings of the gate and of evaluations for models of a few weights."""

from components.evaluation.settings import Evaluate
from components.registry.settings import Gate

GATE = Gate(
    max_bits_per_byte=100.0,
    max_slice_bits_per_byte=100.0,
    min_margin=-1.0,
    min_gain=0.0,
    min_documents=4,
    max_verbatim=1.0,
    max_personal_data=1.0,
    max_slowdown=100.0,
    max_growth=10.0,
    lineage="reported",
    confidence=0.95,
    resamples=400,
    seed=0,
    approval="none",
)
EVALUATION = Evaluate(
    max_bytes_per_source=500,
    max_examples=8,
    tokens_per_batch=512,
    max_new_tokens=4,
    repetition_penalty=1.2,
    verbatim_documents=4,
    verbatim_prompt=4,
    verbatim_tokens=2,
    samples=1,
    resamples=100,
    confidence=0.95,
    seed=0,
)
QUICK = {
    "max_bytes_per_source": 2000, "max_examples": 4, "tokens_per_batch": 512,
    "max_new_tokens": 8, "repetition_penalty": 1.2, "samples": 1, "resamples": 100, "confidence": 0.95, "seed": 1,
    "verbatim_documents": 4, "verbatim_prompt": 12, "verbatim_tokens": 4,
}  # fmt: skip
