"""Labels from statistics: a feature that is active on one token only is named by that token, and nobody is asked."""

from mistudio.label.completion import mark_name, visible
from mistudio.store import Feature, Label
from mistudio.store.storable import storable

# Of the peaks of all examples of the explain split; a share of fewer than these says little.
SHARE, FEWEST = 0.95, 10


def factual_label(feature: Feature, run_id: int | None = None) -> Label | None:
    """The label of a feature whose examples nearly all peak on the same token; None for any other feature.

    Its origin is ``statistics`` and its evidence says how many of how many examples; provider, model, confidence and
    cost are empty, for nobody was asked.
    """
    total = sum(count for _token, count, *_rest in feature.top_tokens)
    token, most = max(((row[0], row[1]) for row in feature.top_tokens), key=lambda row: row[1], default=("", 0))
    shown = visible(storable(token))
    if not token or total < FEWEST or most < SHARE * total:
        return None
    name, bare = mark_name(token), shown.strip()
    if name:
        text = f"{name} '{bare}'" if bare and token.strip() else name
    else:
        what = "number" if bare.isdigit() else "word" if token.startswith(" ") and bare.isalpha() else "token"
        text = f"the {what} '{bare}'"
    kind = "number" if bare.isdigit() else "token" if any(char.isalnum() for char in token) else "punctuation"
    return Label(
        feature_id=feature.id, text=text, kind=kind, origin="statistics", run_id=run_id,
        explanation=f"\"{shown}\" is the strongest token of {most} of its {total} examples.",
        evidence={"strategy": "statistics", "token": storable(token), "count": most, "of": total})
