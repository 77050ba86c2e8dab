"""Terminal output of a run: one line at a time, with the name of the stage in front."""

_WIDTH = 20


def say(name: str, line: str) -> None:
    """Print a line of a stage in one write: stages that run in parallel share the terminal."""
    print(f"{name:<{_WIDTH}} {line}\n", end="", flush=True)
