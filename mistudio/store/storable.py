"""Text as every database can hold it: PostgreSQL takes no NUL, and no file takes half of a surrogate pair."""

import json


def storable(text: str) -> str:
    """The text with a replacement character for each NUL, and ``?`` for each lone surrogate."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def storable_values(value: object) -> object:
    """The same of all text in a value of a row, lists and dicts included."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable_values(name): storable_values(held) for name, held in value.items()}
    return [storable_values(held) for held in value] if isinstance(value, list | tuple) else value


def as_json(value: object) -> str:
    """JSON for a column: a byte-level tokenizer has a token of NUL, which PostgreSQL cannot search in JSON either."""
    text = json.dumps(value)
    return json.dumps(storable_values(value)) if "\\u0000" in text or "\\ud" in text else text
