"""A training as a stage runs it: in one process or in many, continued where it was, tracked by the first process."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from components import tracking
from components.core import params
from components.model.transformer import Transformer
from components.training.data.batches import Rows
from components.training.data.data_order import Reading, Table
from components.training.engine import checkpoints, distributed
from components.training.engine.loop import History, Job, train
from components.training.samples import Samples
from components.training.settings import Finetune, Optimization, Pretrain, Processes
from components.training.validation import Validation


@dataclass(frozen=True)
class Plan:
    """What a stage trains: `settings` are its section, `inputs` the files that its checkpoints have to agree with."""

    stage: str
    settings: Pretrain | Finetune
    optimization: Optimization
    inputs: Sequence[Path]
    model: Transformer
    rows: Rows
    validate: Validation
    samples: Samples


@dataclass(frozen=True)
class Trained:
    """What came of it, for the process that writes the outs."""

    key: str
    history: History

    def reading(
        self, settings: Optimization, length: int, shares: Mapping[Table, float], *, predicts_next: bool
    ) -> Reading:
        """How it went through its data: windows of `length` tokens, and whether that behind them is predicted too."""
        return Reading(
            seed=settings.seed,
            steps=settings.steps,
            batch_size=settings.batch_size,
            length=length,
            reach=length + predicts_next,
            shares=tuple(shares.items()),
            rollbacks=tuple(self.history.rollbacks),
            skipped_steps=tuple(self.history.skipped_steps),
        )

    def forget(self) -> None:
        """Remove the checkpoints, now that the outs are there."""
        shutil.rmtree(checkpoints.CHECKPOINTS / self.key, ignore_errors=True)


def carry_out(plan: Plan) -> Trained | None:
    """Train the model of a plan in place; None in all processes but the first."""
    made_from = checkpoints.manifest(plan.settings, plan.inputs)
    key = checkpoints.key(made_from)
    with distributed.group(), tracking.start(plan.stage, key, asdict(plan.settings)) as run:
        first = distributed.is_first()
        history = train(
            Job(
                stage=plan.stage,
                model=plan.model,
                rows=plan.rows,
                validate=plan.samples.beside(plan.validate),
                settings=plan.optimization,
                parallel=params.read("processes", Processes).parallel,
                checkpoints=checkpoints.CHECKPOINTS / key,
                made_from=made_from,
                report=plan.samples.report(run) if first else None,
            )
        )
    return Trained(key, history) if first else None
