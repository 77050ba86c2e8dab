"""What a person at the terminal sees of a run: one line at a time, with the name of the stage in front."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.dag import Plan

_WIDTH = 20


def say(name: str, line: str) -> None:
    """Print a line of a stage, at once and whole: stages that run side by side share the terminal."""
    print(f"{name:<{_WIDTH}} {line}\n", end="", flush=True)


def show_plan(plan: "Plan") -> None:
    """Print of each stage whether it would run, and why."""
    for stage in plan.stages:
        say(stage.name, "cached" if stage.fresh else f"run: {'; '.join(stage.reasons)}")
    print(f"{len(plan.stale)} of {len(plan.stages)} stages would run")
