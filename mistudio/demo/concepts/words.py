"""Patterns for words."""


def words(text: str) -> str:
    """A pattern for any of these words, whole, in either case."""
    return rf"(?i:\b(?:{'|'.join(text.split())})\b)"
