"""The recipe that is trained, and the name under which the registry keeps its models."""

RECIPE = "assistant"


def model_name(recipe: str) -> str:
    """The name under which the registry keeps the models of a recipe."""
    return f"lmforge-{recipe}"


MODEL = model_name(RECIPE)
