"""Names of reports and settings, in words for people."""

from components.evaluation.scores import SAME_INPUT

WORDS = {
    "all": "all, sources equal",
    "by_size": "all, sources by size",
    "chrf": "chrF",
    "description": "description in one line",
    "description_fr": "description, French",
    "entities": "named entities",
    "entity_f1": "F1 of entities",
    "first_words": "first words of the text",
    "interview": "dialogue: interview",
    "known_entities": "entities of the train split",
    "line_of_question": "line that begins with the question",
    "majority": "most frequent answer",
    "majority_by_question": "most frequent answer to the question",
    "rouge_l": "ROUGE-L",
    "sentiment_en": "sentiment, English",
    "sentiment_zh": "sentiment, Chinese",
    "small_talk": "dialogue: small talk",
    "tfidf_logistic_regression": "TF-IDF and logistic regression",
    "tfidf_nearest": "answer to the most similar text",
    "topic_fr": "topic, French",
    "translation_de_en": "translation, German to English",
    "translation_en_de": "translation, English to German",
    "translation_en_zh": "translation, English to Chinese",
    "translation_zh_en": "translation, Chinese to English",
    "words_after_is": "words after “is a”",
    "de": "German",
    "en": "English",
    "fr": "French",
    "zh": "Chinese",
}


def words(name: str) -> str:
    """A name from the reports, for people."""
    plain = name.removesuffix(SAME_INPUT)
    return WORDS.get(plain, plain.replace("_", " ")) + (", same input" if plain != name else "")
