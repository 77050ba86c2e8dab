"""Stage `validate`: the check in front of the stages that use a table, raw or prepared.

docs/decisions.md, "A failed validation leaves no out"
"""

import json
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context import EphemeralDataContext

from components.core import params, stage
from components.core.errors import BadData
from components.core.files import STATE, write_atomically
from components.data.settings import Duplicates, Ingest, Prepare, Validate
from components.data.tables.records import SCHEMAS
from components.data.validation import own_rules
from components.data.validation.expectations import ADVICE, OWN, PASSES, SEVERITIES, add_columns, add_shares, rules
from components.data.validation.measures import BROKEN, measure
from components.tasks import catalog
from components.tasks.task import Task

REPORTS = Path("reports/validation")
SITE = "lmforge"
ROWS_SHOWN = 5  # of those that break a rule

Report = dict[str, Any]


def validate(
    data: str,
    root: Path,
    settings: Validate,
    tasks: Mapping[str, Task],
    licenses: tuple[str, ...],
    duplicates: Duplicates | None,
    docs: Path,
) -> Report:
    """Check the tables of `raw` or `prepared` data below a folder against their rules; one without rows has none.

    Returns the report, the same for the same rows, and writes Data Docs (HTML) to a folder.
    """
    own = [rule for rule in settings.rules or () if rule.data == data]
    frames = measure(root, {name: task.needed for name, task in tasks.items()}, duplicates, own)
    labels = {name: task.labels for name, task in tasks.items()}
    add_columns(frames, settings, labels)
    add_shares(frames, own)
    context = _context(docs)
    results = []
    for table, frame in frames.items():
        suite = gx.ExpectationSuite(table, expectations=rules(data, table, settings, labels, licenses))
        results += [_rule(table, frame, result) for result in _run(context, frame, suite).results]
    context.build_data_docs(site_names=[SITE])
    return {
        "table": data,
        "success": not blocking_failures(results),
        "rows": {table: len(frames.get(table, ())) for table in SCHEMAS},
        "sources": _sources(frames["documents"]) if "documents" in frames else [],
        "tasks": _tasks(frames["examples"]) if "examples" in frames else [],
        "rules": sorted(results, key=lambda rule: (rule["table"], rule["name"])),
    }


def blocking_failures(results: list[Report]) -> list[Report]:
    """The failed rules that stop a run."""
    return [rule for rule in results if rule["severity"] == "blocking" and not rule["success"]]


def explain(failures: list[Report]) -> str:
    """One line that names rules, sources and rows."""
    return "; ".join(_explain(rule) for rule in failures)


def _explain(rule: Report) -> str:
    name = f"{rule['table']}: `{rule['name']}` fails"
    if not rule["failed_rows"]:
        advice = f" ({ADVICE[rule['name']]})" if rule["name"] in ADVICE else ""
        return f"{name}: {rule['observed']}{advice}"
    rows = ", ".join(f"{row['source']} {str(row['id'])[:12]} ({row['value']})" for row in rule["examples"])
    sources = ", ".join(f"{source} {count}" for source, count in rule["sources"].items())
    of = f" of {rule['judged_rows']}" if sources else ""
    return f"{name} for {rule['failed_rows']}{of} rows{f' ({sources})' if sources else ''}, such as {rows}"


def _rule(table: str, frame: pd.DataFrame, result: ExpectationValidationResult) -> Report:
    """One rule of the report. An expectation that raised has failed, whatever the library reports.

    So has a rule of the user that judges no row, as a name in it is wrong.
    """
    column = result.expectation_config.kwargs["column"]
    judged = int(frame[column].notna().sum()) if column in frame else 0
    error = _raised(result.exception_info)
    if column.startswith(OWN) and not judged:
        error = error or "it judges no row: see its `column` and `where`"
    detail = result.result
    return {
        "name": result.expectation_config.meta["name"],
        "table": table,
        "column": column,
        "severity": SEVERITIES[result.expectation_config.severity.value],
        "success": bool(result.success) and not error,
        "observed": error or _observed(detail, result.expectation_config.kwargs),
        "failed_rows": detail.get("unexpected_count", 0),
        "judged_rows": judged,
        "sources": _failed_by_source(frame, column),
        "examples": [
            {name: _plain(row.get(key)) for name, key in (("id", "id"), ("source", "source"), ("value", column))}
            for row in detail.get("partial_unexpected_index_list") or []
        ],
    }


def _failed_by_source(frame: pd.DataFrame, column: str) -> dict[str, int]:
    """The rows of each source that break a rule of the user, the most first; none for other rules."""
    if not column.startswith(BROKEN):
        return {}
    counts = frame["source"][frame[column].fillna("") != ""].value_counts()
    return {str(source): int(rows) for source, rows in counts.items()}


def _raised(information: Report) -> str | None:
    """The message of the error that an expectation raised itself, or the first metric that it needs."""
    if "raised_exception" in information:
        return information["exception_message"] if information["raised_exception"] else None
    return next((message for metric in information.values() if (message := _raised(metric))), None)


def _observed(detail: Report, limits: Report) -> object:
    """The value that a rule about the whole column observed; for a rule about rows, the share that breaks it."""
    if limits["column"].startswith(PASSES):
        least, most = limits.get("min_value") or 0, limits["max_value"]
        return f"{detail['observed_value']:.4g} of the rows pass, and {least:g} to {most:g} may"
    if missing := detail.get("partial_missing_list"):
        return f"missing: {', '.join(sorted(missing))}"
    if "observed_value" in detail:
        return _plain(detail["observed_value"])
    return round((detail["unexpected_percent"] or 0) / 100, 6)  # None: no row was checked


def _plain(value: object) -> object:
    """The value in a form that JSON can store, the same on every run."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def _sources(documents: pd.DataFrame) -> list[Report]:
    """Rows and bytes of each source, language and split."""
    groups = documents.groupby(["source", "language", "split"], dropna=False)["bytes"]
    return [
        {"source": source, "language": _plain(language), "split": split, "rows": len(sizes), "bytes": int(sizes.sum())}
        for (source, language, split), sizes in groups
    ]


def _tasks(examples: pd.DataFrame) -> list[Report]:
    """Rows of each task and split."""
    groups = examples.groupby(["task", "split"], dropna=False).size()
    return [{"task": task, "split": split, "rows": int(rows)} for (task, split), rows in groups.items()]


def _context(docs: Path) -> EphemeralDataContext:
    """A context that writes nothing but Data Docs in the folder."""
    shutil.rmtree(docs, ignore_errors=True)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())}
    site = {
        "class_name": "SiteBuilder",
        "store_backend": store,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context.add_data_docs_site(SITE, site)
    return context


def _run(
    context: EphemeralDataContext, frame: pd.DataFrame, suite: gx.ExpectationSuite
) -> ExpectationSuiteValidationResult:
    batch = context.data_sources.add_pandas(suite.name).add_dataframe_asset(suite.name)
    definition = gx.ValidationDefinition(
        name=suite.name, data=batch.add_batch_definition_whole_dataframe(suite.name), suite=context.suites.add(suite)
    )
    form = {
        "result_format": "SUMMARY",
        "partial_unexpected_count": ROWS_SHOWN,
        "unexpected_index_column_names": ["id", "source"],
    }
    return context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": frame}, result_format=form, run_id=RunIdentifier(run_name=suite.name)
    )


def main(table: str) -> None:
    settings = params.read("validate", Validate)
    own_rules.check(settings.rules or ())
    licenses = params.read("ingest", Ingest).licenses
    duplicates = params.read("prepare", Prepare).duplicates if table == "prepared" else None
    docs = STATE / "data-docs" / table
    report = validate(table, Path("data") / table, settings, catalog.load(), licenses, duplicates, docs)
    text = json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    kept = STATE / "validation" / f"{table}.json"
    write_atomically(kept, text)
    for rule in report["rules"]:
        if rule["severity"] == "warning" and not rule["success"]:
            print(f"warning: {explain([rule])}", flush=True)
    out = REPORTS / f"{table}.json"
    out.unlink(missing_ok=True)
    if failures := blocking_failures(report["rules"]):
        raise BadData(f"{explain(failures)} (the whole report: {kept})")
    write_atomically(out, text)


if __name__ == "__main__":
    stage.run(f"validate@{sys.argv[1]}", lambda: main(*sys.argv[1:]))
