"""Places in a text and its layout: label, pattern, accepted wordings."""

FAMILIES = {
    "list markers": {
        "list item markers": (r"\n((?:[-*]|\d+[.)])) ", r"\blists?\b|\bitem|bullet"),
        "dash opening a list item": (r"\n\s*(-) \w", r"\blists?\b|\bitem|bullet|dash|hyphen"),
        "checkbox in a task list": (r"- (\[ \])", r"checkbox|task|\blist|to-?do"),
    },
    "headings": {
        "Markdown headings": (r"\n(#+) [A-Z]", r"heading|header|markdown|title"),
        "words of a heading": (r"\n#+ ([A-Z]\w+)", r"heading|header|title"),
        "underline below a section title": (r"\n\s*(-{4,}|={4,})\n", r"underlin|heading|title|\brule"),
        "docstring section headers": (
            r"\n\s*(Parameters|Returns|Examples|Notes|References|See Also)\n",
            r"section|heading|header|docstring"),
    },
    "tables": {"table separator row": (r"\n(\|-+)", r"table|separator|\brow\b")},
    "addresses": {
        "web addresses": (r"(https?://)", r"\burls?\b|web|http|link"),
        "domain endings such as .com and .org": (r"\.(com|org|net|io)\b", r"domain|\.com|\burls?\b|web"),
        "email addresses": (r"\w(@)[a-z]+\.", r"e-?mail"),
    },
    "HTML": {"HTML tags": (r"(</?[a-z]+)[ >]", r"html|\btags?\b")},
    "sentences": {
        "first word of a sentence": (
            r"\. ([A-Z][a-z]+) ",
            r"(start|begin|first|open)\w*.*(sentence|word|clause)|sentence.*(start|begin|open|initial)"),
        "last word of a sentence": (
            r" ([a-z]+)\. [A-Z]",
            r"(end|last|final)\w*.*(sentence|word|clause)|before (a )?(period|full stop)"),
    },
    "capitals": {
        "words in capital letters": (r"\b([A-Z]{4,})\b", r"capital|upper"),
        "initials in personal names": (r"\b([A-Z])\. [A-Z][a-z]", r"initial"),
        "acronyms": (r"\b([A-Z]{2,3})\b", r"acronym|abbreviation|initial|capital|upper"),
    },
    "letters": {
        "salutation of a letter": (r"(Dear) ", r"dear|salut|greet|letter"),
        "closing of a letter": (r"\n(Yours) sincerely", r"yours|sincerely|closing|letter"),
    },
    "fields": {"field names before a colon": (r"\n([A-Z][a-z]+):", r"field|\bcolon|\bkeys?\b|metadata")},
    "docstring markup": {
        "parameter names in docstrings": (r"\n\s*(\w+) : \w", r"parameter|argument|docstring"),
        "reST directives and roles": (r"(:(?:class|func|ref|math|meth))", r"rest\b|directive|\broles?\b|sphinx|markup"),
        "math markup in docstrings": (
            r"(\\(?:frac|sum|alpha|beta|lambda|sqrt|sigma|theta))",
            r"math|latex|markup|formula"),
    },
    "CSV headers": {
        "column names in a CSV header": (
            r"\n?(city|year|temperature_c|humidity|population),?(?=[a-z,])",
            r"column|header|csv|table"),
    },
}
