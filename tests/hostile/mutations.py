"""Real files and texts, broken in ways that a careless or hostile writer would break them."""

import json
import random
import struct

from hypothesis import strategies as st

from tests.hostile.strings import ALL

LARGE = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, 1e308, 1e-320, float("nan"),
         float("inf"), -0.0, 10**400)
# A generator for each case, seeded by Hypothesis so that a failing case can be run again.
GENERATORS = st.integers(0, 2**64 - 1).map(random.Random)
TEXTS = st.one_of(st.sampled_from(ALL), st.text(max_size=40),
                  st.lists(st.one_of(st.sampled_from(ALL), st.text(max_size=8)), min_size=2, max_size=4).map(" ".join))


def value(by: random.Random, depth: int = 0) -> object:
    """Any JSON value, mostly one that does not belong."""
    kind = by.randrange(9 if depth < 3 else 6)
    if kind < 2:
        return by.choice(LARGE)
    if kind < 4:
        return by.choice(ALL)
    if kind < 6:
        return by.choice((None, True, False, "", "1", "x" * by.choice((1, 70, 5000))))
    if kind == 6:
        return [value(by, depth + 1) for _item in range(by.randrange(4))]
    if kind == 7:
        return {by.choice((by.choice(ALL), "index", "label", "k", "data")): value(by, depth + 1)
                for _item in range(by.randrange(3))}
    deep: object = by.choice(([], {}))
    for _level in range(by.choice((5, 300))):
        deep = [deep] if by.random() < 0.5 else {"a": deep}
    return deep


def broken_json(by: random.Random, found: object) -> object:
    """A copy in which a few values, keys or items are others, gone or twice."""
    copy = json.loads(json.dumps(found))
    for _time in range(by.randrange(1, 4)):
        parent, key = _place(by, copy)
        if parent is None:
            return value(by)
        if isinstance(parent, dict) and by.random() < 0.2:
            parent.pop(key)
        elif isinstance(parent, dict) and by.random() < 0.2:
            parent[by.choice((by.choice(ALL), key.upper(), key + " "))] = parent.pop(key)
        elif isinstance(parent, list) and by.random() < 0.3:
            parent.insert(key, parent[key])
        else:
            parent[key] = value(by)
    return copy


def _place(by: random.Random, found: object) -> tuple[dict | list | None, str | int | None]:
    parent, key = None, None
    while isinstance(found, dict | list) and found and (parent is None or by.random() < 0.7):
        parent, key = found, by.choice(list(found) if isinstance(found, dict) else range(len(found)))
        found = found[key]
    return parent, key


def json_bytes(by: random.Random, found: object) -> bytes:
    """As a writer in another language might write it: not all of it strict JSON, nor always UTF-8."""
    try:
        text = json.dumps(found, ensure_ascii=by.random() < 0.5)
    except (ValueError, RecursionError):
        text = "[" * 3000
    return text.encode("utf-16" if by.random() < 0.02 else "utf-8", "surrogatepass")


def broken_bytes(by: random.Random, data: bytes) -> bytes:
    """Bytes changed, gone, twice, in between, or cut off at the end; numbers made large."""
    changed = bytearray(data)
    for _time in range(by.choice((1, 1, 2, 4))):
        at, kind = by.randrange(len(changed) + 1), by.randrange(8)
        size = min(by.choice((1, 2, 4, 8, 40, 400)), len(changed) - at)
        if kind == 0 and size:
            changed[at] ^= 1 << by.randrange(8)
        elif kind == 1:
            changed[at:at + size] = by.randbytes(size)
        elif kind == 2:
            del changed[at:at + size]
        elif kind == 3:
            changed[at:at] = changed[at:at + size] * by.choice((1, 3))
        elif kind == 4:
            changed[at:at] = by.choice(ALL).encode("utf-8", "surrogatepass")
        elif kind == 5:
            number = by.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1))
            changed[at:at + 8] = struct.pack("<Q", number)[:by.choice((4, 8))]
        elif kind == 6:
            del changed[at:]
        else:
            digits = [place for place, byte in enumerate(changed) if 48 <= byte <= 57]
            if digits:
                place = by.choice(digits)
                changed[place:place + 1] = str(by.choice(LARGE)).encode()
    return bytes(changed)
