"""The failures a user can meet. Each says what happened and what to do next.

Pages show ``message`` and ``hint``; the shell prints both and exits with status 1. Anything that is not a
``MistudioError`` is a defect of ours.
"""


LONGEST = 600  # characters: what a file or a server wrote may stand in a message, and be of any length


class MistudioError(Exception):
    """An expected failure. What is longer than a sentence can be is cut off.

    Args:
        message: what happened, in one sentence.
        hint: what the user can do about it, in one sentence.
    """

    def __init__(self, message: str, hint: str = ""):
        self.message, self.hint = (text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in (message, hint))
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ModelError(MistudioError):
    """The language model cannot be found, fetched or run."""


class SAEError(MistudioError):
    """The SAE cannot be read, or does not fit the model."""


class CorpusError(MistudioError):
    """The text to run is missing or empty."""


class StoreError(MistudioError):
    """The database cannot be opened, or what was asked for is not in it."""


class AccessError(MistudioError):
    """The visitor may not do this."""


class ProviderError(MistudioError):
    """The provider did not answer this one prompt. The item fails with this reason; others go on.

    Args:
        kind: a short stable word for grouping, for example ``timeout``, ``rate limit`` or ``refused``.
    """

    def __init__(self, message: str, hint: str = "", kind: str = "provider"):
        super().__init__(message, hint)
        self.kind = kind


class ProviderSetupError(ProviderError):
    """No prompt can succeed until the user changes something: key, address or model name. The run stops."""


class NotAsked(ProviderError):
    """Nobody can be asked this: the answers came as files, and none of them is to this prompt."""


class ReplyError(MistudioError):
    """A reply arrived from which no label can be read.

    Args:
        kind: a short stable word for grouping, for example ``empty``, ``prose`` or ``wrong schema``.
    """

    def __init__(self, message: str, kind: str):
        super().__init__(message)
        self.kind = kind


class ExchangeError(MistudioError):
    """A file to import cannot be read, or a row of it does not fit."""


class Cancelled(MistudioError):
    """The user stopped a job."""
