"""Code: label, pattern, accepted wordings."""

from mistudio.demo.concepts.words import words

FAMILIES = {
    "keywords": {
        "Python keywords": (r"\n\s*(def|return|class|import|yield|while|elif|except|raise) ", r"keyword|statement"),
        "SQL keywords": (r"\b(SELECT|INSERT|UPDATE|FROM|WHERE|JOIN|TABLE)\b", r"sql|database|query"),
    },
    "functions": {
        "'def' opening a function definition": (r"\n\s*(def) \w", r"\bdef\b|function def"),
        "function names after def": (r"\bdef ([a-z]\w+)", r"function|\bdef\b|method name"),
        "function arguments": (r"\w\((\w+), ", r"argument|parameter"),
        "method calls": (r"\.(\w+)\(", r"method|\bcalls?\b"),
        "'lambda' in code": (r"\b(lambda) ", r"lambda|anonymous"),
    },
    "classes": {
        "'class' opening a class definition": (r"\n(class) [A-Z]", r"\bclass"),
        "class names": (r"\bclass ([A-Z]\w+)", r"\bclass"),
        "'self' in Python methods": (r"\b(self)\.", r"\bself\b"),
        "dunder method names": (r"(__[a-z]+__)", r"dunder|double underscore|magic|special method|__"),
    },
    "return": {"'return' in Python functions": (r"\n\s+(return) ", r"\breturn")},
    "imports": {
        "import statements": (r"\n((?:import|from)) \w", r"import"),
        "names of imported modules": (r"\n(?:import|from) (\w+)", r"import|module"),
    },
    "branches": {"if and else branches": (r"\n\s+((?:if|elif|else))\b", r"\bif\b|\belse\b|condition|branch")},
    "loops": {
        "loops with for and while": (r"\n\s+((?:for|while)) ", r"loop|\bfor\b|\bwhile\b"),
        "'in' of a for loop": (r"\bfor \w+ (in) ", r"loop|\bin\b|\bfor\b"),
    },
    "exceptions": {
        "raising exceptions": (r"\n\s+(raise) ", r"rais|exception|error"),
        "exception names such as ValueError": (r"\b([A-Z]\w+Error)\b", r"exception|error"),
        "try and except blocks": (r"\n\s+(try|except|finally)\b", r"\btry\b|except|error handling"),
    },
    "constants": {
        "True, False and None": (r"\b(True|False|None)\b", r"\btrue\b|\bfalse\b|\bnone\b|bool"),
        "boolean values": (r"\b(True|False|true|false)\b", r"\btrue\b|\bfalse\b|bool"),
        "constants in upper case with underscores": (r"\b([A-Z]+_[A-Z_]+)\b", r"constant|upper|capital"),
    },
    "logic": {
        "logical operators and, or, not in code": (
            r"\bif .{3,30} (and|or|not) ",
            r"logic|\band\b.*\bor\b|\bnot\b|bool|operator"),
    },
    "types": {
        "type names in annotations": (r": (int|str|float|bool|list|dict)\b", r"type|annotation"),
        "C and C++ type names": (r"\b(void|int64_t|size_t|uint8_t|char|uint32_t)\b", r"\btypes?\b"),
    },
    "strings": {"string literals in code": (r"= ['\"](\w+)", r"string|literal|quoted|quote")},
    "comments": {"comments in code": (r"\n\s+# (\w+)", r"comment")},
    "variables": {
        "variable assigned at the start of a line": (r"\n\s+(\w+) = ", r"variable|assign"),
        "index inside square brackets": (r"\w\[(\w+)\]", r"index|subscript|bracket"),
    },
    "preprocessor": {
        "C preprocessor directives": (
            r"\n#(include|define|ifdef|ifndef|endif)",
            r"preprocess|directive|include|define|macro"),
    },
    "assertions": {"assertions in tests": (words("assert assertEqual expect assertRaises"), r"assert|test")},
    "arrays": {"arrays and matrices in code": (words("array ndarray matrix matrices arrays"), r"array|matri")},
    "decorators": {"decorators": (r"\n\s*@(\w+)", r"decorator")},
    "test names": {"names of test functions": (r"\b(test_\w+)", r"test")},
}
