"""GET /v1/models: https://platform.openai.com/docs/api-reference/models"""

from typing import Any

from components.api.live import Live, RecipeVersions, unknown
from components.core.recipe import of_model
from components.registry.store import CHAMPION


def listed(live: Live) -> list[dict[str, Any]]:
    """The champions that answer, by the names of their recipes, and behind each the other aliases."""
    return [
        _entry(recipe, alias)
        for recipe in live.recipes.values()
        if recipe.champion is not None
        for alias in sorted(recipe.aliases, key=lambda alias: (alias != CHAMPION, alias))
    ]


def one(live: Live, model: str) -> dict[str, Any]:
    """The entry of a model. Raises `ApiError` for one that is not listed."""
    name, _, alias = model.partition("@")
    wanted = of_model(name) + (f"@{alias}" if alias not in ("", CHAMPION) else "")
    found = next((entry for entry in listed(live) if entry["id"] == wanted), None)
    if found is None:
        raise unknown(model)
    return found


def _entry(recipe: RecipeVersions, alias: str) -> dict[str, Any]:
    number = recipe.aliases[alias]
    is_champion = alias == CHAMPION
    if is_champion and recipe.champion is not None:
        number = recipe.champion.version.number  # while a new one is loaded, this one answers
    version = recipe.versions.get(number)
    return {
        "id": recipe.name if is_champion else f"{recipe.name}@{alias}",
        "object": "model",
        "created": int(version.created.timestamp()) if version else 0,
        "owned_by": "lmforge",
        "version": number,
        "digest": version.digest if version else None,
    }
