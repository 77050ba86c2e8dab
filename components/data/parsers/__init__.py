"""Parsers of the data files inside packages into documents and examples: one module per format, pure functions."""

from collections.abc import Callable, Iterator

from components.data.parsers import (
    articles,
    bible,
    catalogues,
    chinese_dictionary,
    conversations,
    english_dictionary,
    factbook,
    news,
    recipes,
    reviews,
    service_models,
    wikipedia,
    wordnet,
)
from components.data.tables.records import Record

Parser = Callable[..., Iterator[Record]]
"""Takes the archive, and the source's `options` as keyword arguments."""

PARSERS: dict[str, Parser] = {
    "articles": articles.parse,
    "bible": bible.parse,
    "catalogue_pages": catalogues.parse_pages,
    "catalogues": catalogues.parse,
    "chinese_characters": chinese_dictionary.parse_characters,
    "chinese_words": chinese_dictionary.parse_words,
    "conversations": conversations.parse,
    "english_dictionary": english_dictionary.parse,
    "factbook": factbook.parse,
    "factbook_interviews": factbook.parse_interviews,
    "headlines": articles.parse_headlines,
    "news": news.parse,
    "recipe_examples": recipes.parse_examples,
    "recipes": recipes.parse,
    "reviews_by_column": reviews.parse_column,
    "reviews_by_file": reviews.parse_files,
    "service_models": service_models.parse,
    "wikipedia": wikipedia.parse,
    "wordnet_relations": wordnet.parse_relations,
}
