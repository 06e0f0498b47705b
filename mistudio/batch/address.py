"""Where an answer belongs: the ``custom_id`` of a request, which comes back with its response."""

import re
from typing import NamedTuple, Self

_FORM = re.compile(r"run([0-9]{1,9})-([0-9a-f]{8})-([0-9]{1,9})-([a-z0-9.]{1,30})-([0-9a-f]{16})")


class Address(NamedTuple):
    """One question of a run.

    ``key`` is the run's own, so that answers from another database are known as foreign; ``part`` names the question
    among the feature's (``label``, or for example ``fuzzing.wrong.2``: the second call about the wrong label); ``hash``
    is that of the prompt.
    """

    run_id: int
    key: str
    feature_id: int
    part: str
    hash: str

    def __str__(self) -> str:
        return f"run{self.run_id}-{self.key}-{self.feature_id}-{self.part}-{self.hash}"

    @classmethod
    def read(cls, text: object) -> Self | None:
        """The address that a text is; None for any other."""
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        return cls(int(found[1]), found[2], int(found[3]), found[4], found[5]) if found else None
