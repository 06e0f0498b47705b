"""Punctuation and white space: label, pattern, accepted wordings."""

FAMILIES = {
    "period": {
        "period at the end of a sentence": (
            r"[a-z](\.)(?= [A-Z])",
            r"period|full stop|sentence end|end(ing)? (of )?(a )?sentence"),
        "period inside a number": (r"\d(\.)\d", r"decimal|(period|point|dot).*(number|digit|version|figure)"),
        "dot before an attribute or method name": (r"[a-z_](\.)[a-z_]+\(", r"\bdot\b|period|attribute|method"),
        "ellipsis": (r"(\.\.\.)", r"ellips|three dots|\.\.\."),
    },
    "comma": {
        "comma between words of a list": (r"[a-z](,) [a-z]+, and ", r"comma"),
        "comma before a conjunction": (r"[a-z](,) (?:but|and|or|so) ", r"comma"),
        "thousands separator in large numbers": (
            r"\d(,)\d{3}",
            r"thousand|comma.*(number|digit|amount|figure)|large number"),
        "comma between numbers": (r"\d(,) \d", r"comma"),
    },
    "question mark": {"question mark ending a question": (r"[a-z](\?)", r"question")},
    "exclamation mark": {"exclamation mark": (r"[a-z](!)", r"exclam")},
    "semicolon": {
        "semicolon between clauses": (r"[a-z](;) [a-z]", r"semicolon"),
        "semicolon ending a line of code": (r"[)\w](;)\n", r"semicolon"),
    },
    "colon": {
        "colon introducing a list or explanation": (r"[a-z](:)(?= |\n)", r"\bcolon"),
        "colon in a time of day": (r"\b\d{1,2}(:)\d\d\b", r"\bcolon|times? of day|clock"),
        "colon after a field name": (r"\n[A-Z][a-z]+(:) ", r"\bcolon|field name"),
        "colon ending a Python block header": (r"\)(:)\n", r"\bcolon|block header"),
    },
    "apostrophe": {
        "apostrophe or 's marking a possessive": (r"[a-z]('s) [a-z]", r"possess|apostrophe|'s\b|genitive"),
        "contracted 't in don't and can't": (r"n('t)\b", r"contract|'t\b|negat"),
    },
    "quotes": {
        "double quote opening a quotation": (r" (\")[A-Z]", r"quot"),
        "double quote closing a quotation": (r"[.,!?](\")", r"quot"),
        "single quotes around strings in code": (r"[(=,] ?(')\w", r"quote|string"),
    },
    "hyphen and dash": {
        "hyphen in compound words": (r"[a-z](-)[a-z]", r"hyphen|compound"),
        "hyphen between the parts of a date": (r"\d(-)\d\d", r"hyphen|\bdates?\b"),
        "dash breaking off a sentence": (r"[a-z] ?(--|—|–)", r"dash"),
    },
    "slash": {
        "slash between the parts of a date": (r"\d(/)\d\d", r"slash|\bdates?\b"),
        "slash in file paths and URLs": (r"[a-z](/)[a-z]", r"slash|paths?\b|url"),
    },
    "round brackets": {
        "opening bracket of a call": (r"\w(\()\w", r"open\w* (round )?(bracket|paren)"),
        "opening bracket in prose": (r"[a-z] (\()[a-z]", r"open\w* (round )?(bracket|paren)|parenthe"),
        "closing bracket": (r"\w(\))", r"clos\w* (round )?(bracket|paren)"),
        "closing bracket ending a statement": (r"\w(\))\n", r"clos\w* (round )?(bracket|paren)"),
    },
    "square brackets": {
        "opening square bracket": (r"(\[)\w", r"square bracket"),
        "closing square bracket": (r"\w(\])", r"square bracket"),
    },
    "braces": {
        "opening brace": (r"(\{)", r"brace|curly"),
        "closing brace": (r"(\})", r"brace|curly"),
    },
    "equals sign": {
        "equals sign of an assignment": (r"\w (=) \w", r"equal|assign"),
        "equals sign of a keyword argument": (r"\w(=)\w", r"equal|keyword arg"),
        "comparison operators": (r"\w (==|!=|<=|>=|<|>) \w", r"compar|operator|equal"),
    },
    "arithmetic signs": {
        "arithmetic operators": (r"\w ([+*/-]) \w", r"arithm|operator|plus|minus"),
        "plus sign": (r"[\w ](\+)[\w ]", r"plus|addition"),
    },
    "percent sign": {"percent sign": (r"\d(%)", r"percent")},
    "currency signs": {
        "dollar sign before an amount": (r"(\$)\d", r"dollar|currenc|price"),
        "currency symbols": (r"([$€£])\d", r"currenc|dollar|euro|pound|money|price"),
    },
    "degree sign": {"degree sign": (r"(°)", r"degree|temperature")},
    "at sign": {"at sign": (r"\w?(@)\w", r"\bat[- ]sign|@|e-?mail")},
    "asterisk": {
        "asterisk marking emphasis or a list item": (r"(?:\n|\s)(\*+)\s?\w", r"asterisk|\bstars?\b|emphasis|bold"),
    },
    "underscore": {"underscore in identifiers": (r"[a-z](_)[a-z]", r"underscore")},
    "vertical bar": {"vertical bar between table cells": (r"(\|) ", r"vertical bar|pipe|table")},
    "backtick": {"backticks around code": (r"(`+)\w", r"backtick|inline code|code span")},
    "backslash": {"backslash in code": (r"(\\)\w", r"backslash|escape")},
    "hash sign": {"hash sign starting a comment": (r"\n\s*(#) \w", r"\bhash\b|comment")},
    "arrow": {"arrow before a return type": (r"\) (->)", r"arrow|return")},
    "blank line": {
        "blank line between paragraphs": (r"\.(\n\n)[A-Z]", r"blank|empty line|paragraph|newline|line break"),
        "blank line": (r"(\n\n)", r"blank|empty line|paragraph|newline|line break"),
        "newline at the end of a line": (r"\w(\n)\w", r"newline|line break|end of (a |the )?line|line end"),
    },
    "spaces": {
        "indentation at the start of a code line": (r"\n(    +)\w", r"indent|spaces|leading space|white ?space"),
        "run of several spaces": (r"\w(   +)\w", r"spaces|white ?space|alignment|gap"),
    },
}
