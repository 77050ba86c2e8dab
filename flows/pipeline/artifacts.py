"""What a run adds to its logs in the Prefect UI: the plan, the validation, the scores, and links."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from components import tracking
from components.core.files import STATE
from components.reports.score_table import read_scores, rows
from flows.dvc.graph import Plan
from flows.processes import worktree
from flows.services import pages


def show_plan(plan: Plan) -> None:
    """Create a table of the stages: which of them run, and why."""
    table = [
        {
            "stage": stage.name,
            "action": "cached" if stage.fresh else "run",
            "why": "; ".join(stage.reasons) or "nothing changed",
        }
        for stage in plan.stages
    ]
    create_table_artifact(table, key="plan", description="What this run does, and why")


def show_validation(table: str) -> None:
    """Show the validation rules of a table of data: failed ones first, with rows that break them."""
    report = _validation(table)
    if report is None:
        return
    docs = STATE / "data-docs" / table / "index.html"
    failed = [rule for rule in report["rules"] if not rule["success"]]
    verdict = (
        f"{len(failed)} of {len(report['rules'])} rules fail" if failed else f"all {len(report['rules'])} rules hold"
    )
    create_table_artifact(
        [
            {
                "rule": rule["name"],
                "table": rule["table"],
                "holds": "yes" if rule["success"] else f"NO ({rule['severity']})",
                "seen": _seen(rule),
            }
            for rule in sorted(report["rules"], key=lambda rule: rule["success"])
        ],
        key=f"validation-{table}",
        description=f"The {table} data: {verdict}." + (f" {_link('All of it', docs)}" if docs.exists() else ""),
    )


def show_scores(recipe: str) -> None:
    """Create a table of the scores of a recipe's model, each next to its baselines."""
    create_table_artifact(
        [
            {"measure": name, "score": score, "interval": interval, "baselines": baselines}
            for name, score, interval, baselines in rows(read_scores(recipe))
        ],
        key=f"scores-{recipe}",
        description=f"Scores of {recipe} on the test split",
    )


def show_links(recipe: str, stage_key: str) -> None:
    """Link to the report page of a recipe, and to the training run in MLflow's pages, which `lmforge up` serves."""
    docs = [STATE / "data-docs" / table / "index.html" for table in ("raw", "prepared")]
    lines = [
        _link("The report", pages.report(recipe)),
        _link("The data, step by step", pages.DATA),
        *(_link(f"Data Docs, {path.parent.name}", path) for path in docs if path.exists()),
    ]
    run = tracking.find(stage_key)
    if run:
        page = pages.mlflow_run(pages.mlflow(), tracking.experiment(tracking.client()), run)
        lines.append(f"[The curves of the training]({page}) are in MLflow's pages, while `lmforge up` serves them.")
    else:
        lines.append("MLflow knows no run of this training, so there are no curves to show.")
    create_markdown_artifact(
        "\n\n".join(lines), key=f"links-{recipe}", description=f"Where the report and the curves of {recipe} are"
    )


def _link(name: str, page: Path) -> str:
    """A page of the current run: a link if it is served, otherwise the path of the file."""
    address = pages.of_run(page)
    return f"[{name}]({address})" if address else f"{name}: `{worktree.lasting(page)}`"


def _validation(table: str) -> Any:
    """The last report of the validation stage, even if validation failed; None if it wrote none."""
    for folder in (STATE / "validation", Path("reports/validation")):
        with suppress(FileNotFoundError):
            return json.loads((folder / f"{table}.json").read_text(encoding="utf-8"))
    return None


def _seen(rule: Mapping[str, Any]) -> str:
    if not rule["failed_rows"]:
        return str(rule["observed"])
    rows = ", ".join(f"{row['source']} {str(row['id'])[:12]} ({row['value']})" for row in rule["examples"])
    return f"{rule['failed_rows']} rows, such as {rows}"
