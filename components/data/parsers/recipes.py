"""Recipes of the Wikibooks Cookbook."""

import json
from collections.abc import Iterator
from typing import Any

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Record


def parse(archive: Archive, member: str) -> Iterator[Record]:
    """One document per recipe: title, facts, ingredients, steps."""
    for key, recipe in json.loads(archive.read(member)).items():
        yield Document(key, "\n".join(_lines(recipe)))


def _lines(recipe: dict[str, Any]) -> Iterator[str]:
    yield recipe["title"]
    for name in ("category", "servings", "time", "difficulty"):
        if recipe[name]:
            yield f"{name.capitalize()}: {recipe[name]}"
    yield "\nIngredients"
    yield from (f"- {ingredient}" for ingredient in recipe["ingredients"])
    yield "\nSteps"
    yield from (f"{number}. {step}" for number, step in enumerate(recipe["steps"], start=1))
