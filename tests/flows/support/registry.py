"""The model whose versions are in the registry that tests begin with."""

from components.core.recipe import model_name

RECIPE = "assistant"
MODEL = model_name(RECIPE)
PARAMS = f"finetune: {{{RECIPE}: {{}}}}\n"
