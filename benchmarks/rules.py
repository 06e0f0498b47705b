"""A labeler of rules alone, to compare with: names what the active tokens have in common, where a rule sees it."""

import json
import re
from collections import Counter

from mistudio.label.completion import mark_name
from mistudio.label.providers import Completion, Messages

# The share of windows whose active token a rule has to fit.
SHARE = 0.6
RULES = (
    ("numbers", str.isdecimal),
    ("words in capital letters", lambda token: token.isupper() and len(token) > 1),
    ("capitalised words", str.istitle),
    ("identifiers with underscores", lambda token: "_" in token),
    ("punctuation", lambda token: not any(char.isalnum() for char in token)),
)


class RulesProvider:
    """Reads the active tokens of the embedded labeler's prompt, and nothing else."""

    name, model, default_concurrency, rate_limits = "rules", "rules", 1, 0

    def complete(self, messages: Messages, schema: dict) -> Completion:
        """The most frequent active token by its name, or what most of them have in common."""
        tokens = [token.replace("\\n", "\n").replace("\\t", "\t")
                  for token in re.findall(r"<<(.*?)>>(?!>)", messages[-1]["content"])]
        bare = [token.strip() for token in tokens]
        token, count = Counter(bare).most_common(1)[0]
        label = next((name for name, fits in RULES if sum(map(fits, bare)) >= SHARE * len(bare)), "")
        if count >= SHARE * len(tokens):
            label = mark_name(tokens[bare.index(token)]) or f"'{token}'"
        answer = {"label": label or " and ".join(f"'{word}'" for word in list(dict.fromkeys(bare))[:3] if word),
                  "explanation": "", "kind": "", "confidence": count / len(tokens)}
        return Completion(json.dumps(answer))

    def close(self) -> None:
        """There is nothing to close."""
