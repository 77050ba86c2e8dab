"""Rows of prepared tables: documents of two sources and languages, and examples of every task."""

import json

TEXTS = ["The fox is a small hunter of the wood.", "A model is a map, never the country.", "天地玄黄，宇宙洪荒。"]


def document(number):
    language = "zh" if number % 3 == 2 else "en"
    return {
        "id": f"{number:02}",
        "source": f"source_{number % 2}",
        "text": TEXTS[number % 3] * (number + 1),
        "language": language,
        "license": "MIT",
        "origin": "x#1",
    }


def examples(number):
    text, odd = TEXTS[number % 2], number % 2
    inputs_and_targets = {
        "topic": ({"text": text}, ("Technology", "Everyday life")[odd]),
        "sentiment_en": ({"text": text}, ("positive", "negative")[odd]),
        "sentiment_zh": ({"text": TEXTS[2] * (odd + 1)}, ("正面", "负面")[odd]),
        "description": ({"title": "It", "text": text}, ("hunter", "map")[odd]),
        "question_answering": ({"context": text, "question": "What?"}, ("fox", "model")[odd]),
        "translation_en_zh": ({"text": text}, TEXTS[2][: 4 + odd]),
        "translation_zh_en": ({"text": TEXTS[2]}, text),
    }
    return [
        {
            "id": f"{task}-{number}",
            "source": "source_0",
            "task": task,
            "inputs": json.dumps(inputs),
            "target": target,
            "license": "MIT",
        }
        for task, (inputs, target) in inputs_and_targets.items()
    ]
