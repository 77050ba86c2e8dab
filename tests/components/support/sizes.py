"""A training so small that a test runs it in a second."""

from components.training.settings import Optimization, Pretrain
from tests.components.support import shapes

OPTIMIZATION = {
    "seed": 1, "steps": 12, "batch_size": 4, "micro_batch_size": 2, "optimizer": "muon",
    "learning_rate": 3e-3, "warmup_steps": 2,
    "decay": "linear", "decay_share": 0.5, "weight_decay": 0.1, "betas": (0.9, 0.95), "max_gradient_norm": 1.0,
    "max_skipped_steps": 3, "max_rollbacks": 2, "z_loss": 0.0, "activation_checkpointing": False,
    "precision": "fp32", "compile": "never", "log_every": 1, "validate_every": 6, "checkpoint_every": 3,
}  # fmt: skip


def optimization(**changes: object) -> Optimization:
    """The settings, some of them changed."""
    return Optimization(**(OPTIMIZATION | changes))  # type: ignore[arg-type]


def pretrain(**changes: object) -> Pretrain:
    """Settings of the stage for a model of 30 thousand weights."""
    model = shapes.settings(depth=1, hidden_size=32, num_heads=2, head_dim=16)
    return Pretrain(
        model=model, objective="causal", document_mask=True, zero_projections=False,
        sequence_length=16, keep_optimizer=False, validation_rows=4, optimization=optimization(**changes),
    )  # fmt: skip
