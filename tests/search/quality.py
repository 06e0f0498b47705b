"""Planted labels, and the features that a person who types a short query would want to see.

The labels are those below and, as near relatives and as distractors, those of all concepts of ``mistudio/demo``.
"""

import re
from collections.abc import Callable

import numpy as np
from sqlalchemy import Engine
from sqlmodel import select

from mistudio.demo.concepts import concepts
from mistudio.extract.corpus import document_hash
from mistudio.store import Feature, Label, session
from mistudio.store.labels import add_label
from tests.toy import add_toy_extraction

LABELS = [
    ("digits of four-digit years", "Fires on the digits of years such as 1984 or 2001 in running text.", "number"),
    ("prices in dollars", "Fires on dollar signs and the amounts after them.", "number"),
    ("percentages", "Fires on the percent sign and the figure in front of it.", "number"),
    ("decimal point in measurements", "Fires on the dot inside values such as 3.14 or 0.05.", "number"),
    ("plus, minus and equals signs", "Fires on arithmetic operators between operands in equations.", "token"),
    ("spelled-out numerals", "Fires on words such as seven, twelve and hundred.", "number"),
    ("dates with month names", "Fires on the day after a month, as in March 4.", "number"),
    ("hexadecimal constants", "Fires on 0x and the digits that follow it.", "number"),
    ("algebra and geometry terms", "Fires on theorem, polynomial, triangle and proof.", "concept"),
    ("summing and averaging values", "Fires where totals, means and sums are computed.", "concept"),
    ("def at the start of a method", "Fires on the keyword that begins a Python definition.", "token"),
    ("opening parenthesis of a call", "Fires on the bracket right after a callable's name.", "pattern"),
    ("lambda expressions", "Fires on anonymous callables passed as arguments.", "pattern"),
    ("return statements", "Fires on the keyword that hands a value back to the caller.", "token"),
    ("Python import lines", "Fires on import and from at the top of a module.", "token"),
    ("closing curly braces", "Fires on } at the end of a block or a dictionary.", "token"),
    ("comments after a hash sign", "Fires on # and the remark behind it in source files.", "pattern"),
    ("self attributes in classes", "Fires on the dot after self in Python methods.", "pattern"),
    ("exceptions being raised", "Fires on raise, ValueError and traceback text.", "concept"),
    ("docstring triple quotes", "Fires on the quotes around Python documentation.", "token"),
    ("HTML tags", "Fires on angle brackets and tag names in web pages.", "pattern"),
    ("semicolon in C statements", "Fires on the mark that ends a line of C.", "token"),
    ("period at the end of a sentence", "Fires on the full stop that closes a sentence.", "token"),
    ("question marks", "Fires on ? after a question.", "token"),
    ("comma in a list of nouns", "Fires on the mark between listed nouns.", "token"),
    ("quotation marks opening speech", "Fires on the mark before words someone says.", "token"),
    ("judges, courts and trials", "Fires on words of legal proceedings.", "concept"),
    ("licence warranty disclaimers", "Fires on AS IS and WITHOUT WARRANTY in software licences.", "concept"),
    ("treaties with foreign powers", "Fires on treaty, alliance and ambassador.", "concept"),
    ("medical symptoms and diagnoses", "Fires on fever, patient and infection.", "concept"),
    ("chemical elements and compounds", "Fires on sodium, oxide and acid.", "concept"),
    ("cells, proteins and genes", "Fires on biology terms.", "concept"),
    ("war and violence words", "Fires on war, battle and killed.", "concept"),
    ("taxes and tariffs", "Fires on duties, revenue and the treasury.", "concept"),
    ("presidents addressing Congress", "Fires on formal openings of annual messages.", "concept"),
    ("dash that starts a list item", "Fires on - or * at the start of a line.", "pattern"),
    ("markdown section headers", "Fires on ## and the heading after it.", "pattern"),
    ("names of US states", "Fires on Texas, Ohio and California.", "concept"),
    ("farming and crops", "Fires on wheat, corn and harvest.", "concept"),
    ("railroads and shipping", "Fires on trains, canals and ships.", "concept"),
    ("'the' before an abstract noun", "Fires on the article in phrases like the spirit.", "pattern"),
    ("'s in let's", "Fires on the possessive or contracted s.", "token"),
    ("URL schemes", "Fires on http and :// in links.", "pattern"),
    ("'ulf' in sulfate and sulfur", "Fires on the middle piece of words for sulphur compounds.", "token"),
    ("'stip' in stipulation", "Fires on the first piece of stipulate and stipulation.", "token"),
    ("codec names in encodings", "Fires on utf, latin and iso in Python's encodings.", "token"),
    ("words of hope and gratitude", "Fires on thank, hope and grateful.", "concept"),
]

# A third of these share no word with any label that they must find.
WANTED = {
    "math": ["algebra and geometry terms", "mathematical terms", "plus, minus and equals signs", "arithmetic operators",
             "summing and averaging values", "geometry and shapes", "math markup in docstrings", "digits",
             "exponents of powers", "statistical terms", "fractions"],
    "arithmetic": ["arithmetic operators", "plus, minus and equals signs", "plus sign", "summing and averaging values"],
    "number": ["numbers", "digits", "spelled-out numerals", "spelled-out numbers", "decimal numbers", "ordinal numbers",
               "hexadecimal numbers", "version numbers", "final digit of a number",
               "large numbers with thousands separators", "number at the start of a line",
               "very large numbers: million, billion"],
    "code": ["Python keywords", "Python import lines", "import statements", "comments in code",
             "string literals in code", "comments after a hash sign", "return statements",
             "'return' in Python functions", "'lambda' in code", "self attributes in classes",
             "'self' in Python methods", "semicolon ending a line of code", "semicolon in C statements",
             "backticks around code", "backslash in code", "method calls", "indentation at the start of a code line",
             "arrays and matrices in code", "logical operators and, or, not in code",
             "single quotes around strings in code"],
    "function": ["function names after def", "'def' opening a function definition", "def at the start of a method",
                 "function arguments", "opening parenthesis of a call", "lambda expressions",
                 "'return' in Python functions"],
    "programming language": ["Python keywords", "SQL keywords", "C and C++ type names", "C preprocessor directives",
                             "Python import lines", "semicolon in C statements"],
    "reserved words": ["Python keywords", "SQL keywords", "True, False and None"],
    "anonymous functions": ["lambda expressions", "'lambda' in code"],
    "dollar amounts": ["prices in dollars", "prices and amounts of money", "dollar sign before an amount",
                       "money and currency"],
    "money": ["money and currency", "prices and amounts of money", "prices in dollars", "banks and finance",
              "dollar sign before an amount", "currency symbols", "cents of a price", "taxes and duties",
              "taxes and tariffs"],
    "cost": ["prices in dollars", "prices and amounts of money", "cents of a price", "dollar sign before an amount"],
    "economy": ["trade and commerce", "banks and finance", "money and currency", "taxes and duties",
                "taxes and tariffs"],
    "law": ["law courts and judges", "judges, courts and trials", "crime and punishment", "legal terms in licences",
            "licence warranty disclaimers"],
    "legal": ["legal terms in licences", "law courts and judges", "judges, courts and trials",
              "licence warranty disclaimers"],
    "jury verdict": ["law courts and judges", "judges, courts and trials", "crime and punishment"],
    "punctuation": ["comma in a list of nouns", "comma between words of a list", "period at the end of a sentence",
                    "question marks", "question mark ending a question", "exclamation mark",
                    "semicolon between clauses", "quotation marks opening speech",
                    "colon introducing a list or explanation"],
    "full stop": ["period at the end of a sentence"],
    "brackets": ["closing curly braces", "opening parenthesis of a call", "opening bracket of a call",
                 "closing bracket", "opening bracket in prose", "opening square bracket", "closing square bracket",
                 "closing bracket ending a statement", "index inside square brackets", "citations in square brackets",
                 "opening brace", "closing brace"],
    "parentheses": ["opening parenthesis of a call", "opening bracket of a call", "closing bracket",
                    "opening bracket in prose", "closing bracket ending a statement"],
    "curly": ["closing curly braces", "opening brace", "closing brace"],
    "currency": ["money and currency", "currency symbols", "prices in dollars", "prices and amounts of money",
                 "dollar sign before an amount"],
    "speech marks": ["quotation marks opening speech", "double quote opening a quotation",
                     "double quote closing a quotation"],
    "inverted commas": ["quotation marks opening speech", "double quote opening a quotation",
                        "double quote closing a quotation", "single quotes around strings in code"],
    "health": ["health care", "medical symptoms and diagnoses", "medical terms", "diseases and illness"],
    "medicine": ["medical terms", "drug names", "medical symptoms and diagnoses", "diseases and illness",
                 "health care"],
    "doctor": ["medical terms", "health care", "medical symptoms and diagnoses"],
    "pharmacy": ["drug names", "medical terms"],
    "sickness": ["diseases and illness", "medical symptoms and diagnoses"],
    "agriculture": ["farming and crops"],
    "transport": ["railroads and transport", "railroads and shipping"],
    "trains": ["railroads and transport", "railroads and shipping"],
    "boats": ["ships and the navy", "railroads and shipping"],
    "conflict": ["war and violence words", "war and battle"],
    "soldiers": ["war and battle", "war and violence words", "weapons"],
    "guns": ["weapons"],
    "bullet points": ["dash that starts a list item", "list item markers", "dash opening a list item",
                      "asterisk marking emphasis or a list item"],
    "enumeration": ["number of a list item", "list item markers", "dash that starts a list item",
                    "dash opening a list item", "comma in a list of nouns", "comma between words of a list"],
    "headings": ["markdown section headers", "Markdown headings", "words of a heading", "docstring section headers",
                 "underline below a section title"],
    "title": ["words of a heading", "underline below a section title", "Markdown headings", "markdown section headers"],
    "errors": ["errors and failures", "exceptions being raised", "raising exceptions",
               "exception names such as ValueError", "try and except blocks"],
    "something went wrong": ["errors and failures", "exceptions being raised", "raising exceptions"],
    "calendar": ["dates with month names", "names of months", "days of the week", "day of the month in dates",
                 "dates written with numbers", "years", "digits of four-digit years"],
    "dates": ["dates with month names", "dates written with numbers", "day of the month in dates",
              "hyphen between the parts of a date", "slash between the parts of a date"],
    "weekday": ["days of the week"],
    "clock": ["times of day", "colon in a time of day", "units of time"],
    "century": ["years of the twentieth century", "years of the nineteenth century", "years",
                "digits of four-digit years"],
    "web": ["HTML tags", "URL schemes", "web addresses", "domain endings such as .com and .org"],
    "hyperlinks": ["web addresses", "URL schemes", "HTML tags"],
    "internet": ["web addresses", "URL schemes", "networking terms", "domain endings such as .com and .org"],
    "mail": ["email addresses", "salutation of a letter", "closing of a letter"],
    "greeting": ["salutation of a letter"],
    "diplomacy": ["treaties with foreign powers", "peace and friendship"],
    "foreign countries": ["countries", "European countries", "treaties with foreign powers"],
    "geography": ["names of US states", "US states", "countries", "European countries", "cities",
                  "rivers, mountains and land"],
    "town": ["cities"],
    "nature": ["rivers, mountains and land", "weather and climate", "farming and crops"],
    "temperature outside": ["weather and climate", "degree sign", "scientific measurement"],
    "rain and snow": ["weather and climate"],
    "warranty": ["licence warranty disclaimers", "legal terms in licences"],
    "treasury": ["taxes and tariffs"],
    "theorem": ["algebra and geometry terms", "mathematical terms"],
    "documentation strings in Python": ["docstring triple quotes", "docstring section headers",
                                        "parameter names in docstrings", "math markup in docstrings"],
    "ulf": ["'ulf' in sulfate and sulfur"],
    "stip": ["'stip' in stipulation"],
    "iso": ["codec names in encodings"],
    "0x": ["hexadecimal constants", "hexadecimal numbers"],
    "base 16": ["hexadecimal constants", "hexadecimal numbers"],
    "ValueError": ["exceptions being raised", "exception names such as ValueError"],
    "science": ["chemical elements and compounds", "cells, proteins and genes", "scientific measurement",
                "metals and materials"],
    "biology": ["cells, proteins and genes"],
    "chemistry": ["chemical elements and compounds", "metals and materials", "'ulf' in sulfate and sulfur"],
    "physics": ["scientific measurement", "units of measurement", "numbers followed by a unit"],
    "probability": ["statistical terms"],
    "neural networks": ["machine learning terms"],
    "artificial intelligence": ["machine learning terms"],
    "politics": ["elections and voting", "government offices", "Congress", "presidents addressing Congress"],
    "president": ["presidents addressing Congress", "government offices"],
    "democracy": ["elections and voting", "freedom and liberty", "Congress"],
    "church": ["religion and God"],
    "prayer": ["religion and God"],
    "school": ["education and schools"],
    "university": ["education and schools"],
    "mother and father": ["family members"],
    "relatives": ["family members"],
    "employment": ["workers and jobs"],
    "anatomy": ["parts of the body"],
    "recipes": ["cooking and workshop steps", "food and groceries"],
    "furniture": ["household goods"],
    "petroleum": ["energy and fuel"],
    "optimism": ["hope and confidence", "words of hope and gratitude", "praise: great, noble, glorious"],
    "grief": ["sadness and suffering"],
    "emotions": ["hope and confidence", "sadness and suffering", "words of hope and gratitude"],
    "risk": ["danger and threats"],
    "growth": ["words of increase"],
    "shrinking": ["words of decrease"],
    "denial": ["negation", "contracted 't in don't and can't"],
    "duty to do something": ["obligation: must, should, ought"],
    "maybe": ["possibility: may, might, could"],
    "he and she": ["pronouns for people"],
    "said": ["verbs of saying"],
    "opinion and belief": ["verbs of thinking and knowing"],
    "big": ["size: large, small, long", "very large numbers: million, billion",
            "large numbers with thousands separators"],
    "database query": ["SQL keywords", "databases and tables"],
    "spreadsheet": ["column names in a CSV header", "databases and tables", "table separator row",
                    "vertical bar between table cells"],
    "directories": ["computer files and folders", "slash in file paths and URLs"],
    "setup guide": ["installation instructions"],
    "unit tests": ["assertions in tests", "names of test functions"],
    "object oriented": ["'class' opening a class definition", "class names", "self attributes in classes",
                        "'self' in Python methods", "method calls"],
    "iteration": ["loops with for and while", "'in' of a for loop"],
    "conditional": ["if and else branches"],
    "boolean": ["boolean values", "True, False and None", "logical operators and, or, not in code"],
    "linear algebra": ["arrays and matrices in code", "algebra and geometry terms", "mathematical terms"],
    "type hints": ["type names in annotations", "arrow before a return type"],
    "whitespace": ["indentation at the start of a code line", "run of several spaces", "blank line",
                   "blank line between paragraphs", "newline at the end of a line"],
    "line break": ["newline at the end of a line", "blank line", "blank line between paragraphs"],
    "uppercase": ["words in capital letters", "constants in upper case with underscores", "acronyms"],
    "abbreviations": ["acronyms", "initials in personal names"],
    "telephone": ["phone numbers"],
    "football results": ["sports scores"],
    "release": ["version numbers"],
    "share of a whole": ["percentages", "percent sign", "fractions"],
    "footnotes": ["citations in square brackets", "page, figure and table numbers"],
    "kilograms": ["units of measurement", "numbers followed by a unit", "scientific measurement"],
    "@": ["at sign", "email addresses"],
    "{": ["opening brace", "closing curly braces"],
    "%": ["percent sign", "percentages"],
    "\"question mark\"": ["question marks", "question mark ending a question"],
    "\"opening bracket\"": ["opening bracket of a call", "opening bracket in prose"],
    "metformin": ["drug names"],
    "Wednesday": ["days of the week"],
    "eigenvalue": ["mathematical terms"],
}

RUBBISH = ["qwxz vbnm jkl", "zzzzzz", "xkcdq plmokn", "asdfgh qwerty", "fjdksl", "vbnm cxzq"]


def planted_labels() -> list[tuple[str, str, str, list[str]]]:
    """``(label, explanation, kind, tokens)``. Concepts that are lists of words have these as their top tokens."""
    listed = [(each.label, "", each.kind, found[1].split("|")[:12] if (found := re.fullmatch(
        r"\(\?i:\\b\(\?:(.*)\)\\b\)", each.pattern)) else []) for each in concepts()]
    return [(*label, []) for label in LABELS] + listed


def plant(engine: Engine) -> int:
    """An extraction of one feature a planted label; returns its id."""
    labels = planted_labels()
    extraction = add_toy_extraction(engine, features=len(labels))
    with session(engine) as work:
        rows = work.exec(select(Feature).where(Feature.extraction_id == extraction).order_by(Feature.index)).all()
        for (text, explanation, kind, tokens), feature in zip(labels, rows, strict=True):
            feature.top_tokens = [[f" {token}", 5, 6.0] for token in tokens]
            work.flush()
            add_label(work, Label(feature_id=feature.id, text=text, explanation=explanation, kind=kind, origin="llm"))
    return extraction


def tuned_on(query: str) -> bool:
    """Whether the ranking may be tuned by this query; the other half only measures."""
    return document_hash(query) % 2 == 0


def shares_a_word(query: str) -> bool:
    """Whether a label that must be found has a word (or its beginning) of the query."""
    wanted = " ".join(WANTED[query]).lower()
    return any(re.search(rf"\b{re.escape(word[:max(len(word) - 2, 3)])}", wanted)
               for word in re.findall(r"\w+", query.lower()))


def measure(found: Callable[[str], list[int]], queries: list[str]) -> tuple[float, float]:
    """Recall at 10 (of at most ten that there are) and mean reciprocal rank.

    Args:
        found: indices of found features for a query, best first.
    """
    labels = [label for label, *_rest in planted_labels()]
    recalls, ranks = [], []
    for query in queries:
        wanted = {at for at, label in enumerate(labels) if label in WANTED[query]}
        hits = found(query)
        recalls.append(len(wanted.intersection(hits[:10])) / min(10, len(wanted)))
        ranks.append(next((1 / (1 + place) for place, index in enumerate(hits) if index in wanted), 0.0))
    return float(np.mean(recalls)), float(np.mean(ranks))
