"""What a person at the terminal sees of a run: one line at a time, with the name of the stage in front."""

_WIDTH = 20


def say(name: str, line: str) -> None:
    """Print a line of a stage, at once and whole: stages that run side by side share the terminal."""
    print(f"{name:<{_WIDTH}} {line}\n", end="", flush=True)
