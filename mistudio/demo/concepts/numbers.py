"""Numbers and their formats: label, pattern, accepted wordings."""

from mistudio.demo.concepts.words import words

FAMILIES = {
    "digits": {
        "digits": (r"(?:^|\D)(\d)(?=\D)", r"digit|number|numer"),
        "numbers": (r"\b(\d+)\b", r"digit|number|numer"),
        "final digit of a number": (r"\d(\d)\b", r"digit|number"),
        "number at the start of a line": (r"\n(\d+)\b", r"number|digit"),
    },
    "years": {
        "years": (r"\b((?:18|19|20)\d\d)\b", r"year|century|centuries"),
        "years of the twentieth century": (r"\b(19\d\d)\b", r"year|century|19"),
        "years of the nineteenth century": (r"\b(18\d\d)\b", r"year|century|18"),
    },
    "dates": {
        "dates written with numbers": (r"\b(\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4})\b", r"\bdates?\b"),
        "day of the month in dates": (
            r"(?:January|March|April|June|July|December) (\d{1,2})\b",
            r"\bdays?\b|\bdates?\b"),
    },
    "times of day": {"times of day": (r"\b(\d{1,2}:\d\d)\b", r"\btimes?\b|clock|hour")},
    "prices": {
        "prices in dollars": (r"\$(\d[\d,.]*\d)", r"price|dollar|money|amount|currenc"),
        "prices and amounts of money": (r"[$€£](\d[\d,.]*\d)", r"price|dollar|money|amount|currenc"),
        "cents of a price": (r"[$€£][\d,]+\.(\d\d)", r"\bcents?\b|price|money|currenc|decimal"),
    },
    "percentages": {"percentages": (r"\b([\d.]+) ?%", r"percent|rate")},
    "decimals": {
        "decimal numbers": (r"\b(\d+\.\d+)\b", r"decimal|float|fraction"),
        "digits after a decimal point": (r"\d\.(\d+)", r"decimal|after (a |the )?(point|dot|period)"),
    },
    "fractions": {"fractions": (r"\b(\d/\d)\b", r"fraction|ratio")},
    "large numbers": {
        "large numbers with thousands separators": (r"\b(\d{1,3}(?:,\d{3})+)\b", r"large|thousand|big number"),
        "very large numbers: million, billion": (
            words("million billion trillion millions billions"),
            r"million|billion|large"),
    },
    "version numbers": {"version numbers": (r"\b(\d+\.\d+\.\d+)\b", r"version")},
    "hexadecimal": {"hexadecimal numbers": (r"\b(0x[0-9a-fA-F]+)", r"\bhex")},
    "phone numbers": {"phone numbers": (r"(\(\d{3}\) \d{3}-\d{4})", r"phone")},
    "sports scores": {"sports scores": (r"[a-z] (\d-\d) [A-Z]", r"score|result|game|match")},
    "references": {
        "page, figure and table numbers": (
            r"(?:Fig\.|Table|page|Section) (\d+)",
            r"page|figure|table|section|reference"),
        "citations in square brackets": (r"\[(\d+)\]", r"citation|reference|bracket"),
    },
    "units": {
        "numbers followed by a unit": (
            r"\b(\d+) (?:mg|mL|g|kg|km|mmHg|bpm|minutes|days)\b",
            r"unit|measure|quantit|amount|dose"),
        "units of measurement": (r"\d ((?:mg|mL|g|kg|km|mmHg|bpm|cm|mm))\b", r"unit|measure"),
    },
    "numbered lists": {"number of a list item": (r"\n(\d+)[.)] ", r"\blists?\b|\bitem|enumerat|numbered|step")},
    "number words": {
        "spelled-out numbers": (
            words("one two three four five six seven eight nine ten twenty thirty forty fifty hundred"),
            r"spelled|number|numeral|cardinal"),
        "ordinal numbers": (words("first second third fourth fifth sixth seventh tenth"), r"ordinal|first.*second"),
    },
    "exponents": {"exponents of powers": (r"\*\* ?(\d)", r"exponent|power|squared")},
}
