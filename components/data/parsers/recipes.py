"""Recipes of the Wikibooks Cookbook."""

import json
from collections.abc import Iterator
from typing import Any

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Example, Record


def parse(archive: Archive, member: str) -> Iterator[Record]:
    """One document per recipe: title, facts, ingredients, steps."""
    for key, recipe in json.loads(archive.read(member)).items():
        yield Document(key, "\n".join(_lines(recipe)))


def parse_examples(archive: Archive, member: str, task: str, max_characters: int) -> Iterator[Record]:
    """Examples that ask for the ingredients of a dish, by its name; a longer list than `max_characters` is left out."""
    for key, recipe in json.loads(archive.read(member)).items():
        listed = "\n".join(_ingredients(recipe))
        if len(listed) <= max_characters:
            yield Example(key, task, {"text": recipe["title"]}, listed)


def _lines(recipe: dict[str, Any]) -> Iterator[str]:
    yield recipe["title"]
    for name in ("category", "servings", "time", "difficulty"):
        if recipe[name]:
            yield f"{name.capitalize()}: {recipe[name]}"
    yield from _body(recipe)


def _body(recipe: dict[str, Any]) -> Iterator[str]:
    yield "\nIngredients"
    yield from _ingredients(recipe)
    yield "\nSteps"
    yield from (f"{number}. {step}" for number, step in enumerate(recipe["steps"], start=1))


def _ingredients(recipe: dict[str, Any]) -> Iterator[str]:
    yield from (f"- {ingredient}" for ingredient in recipe["ingredients"])
