"""Ask a provider one question, read the answer, and ask once more if it cannot be read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mistudio.errors import MistudioError, NotAsked, ProviderError, ProviderSetupError, ReplyError
from mistudio.label.prompts import Prompt, repair
from mistudio.label.providers import Completion, Provider
from mistudio.store.storable import storable

T = TypeVar("T")
# Characters of a reply that are stored: any answer that can be read is shorter.
LONGEST_KEPT = 20_000


@dataclass(frozen=True)
class Question(Generic[T]):
    """What is asked for: the JSON ``schema`` of the answer; ``parse``, which reads a reply or raises a ReplyError; and
    ``form``, how to put the format in a sentence to a model that missed it."""

    schema: dict
    parse: Callable[[str], T]
    form: str


@dataclass
class Asked(Generic[T]):
    """What came of asking: an answer, or the reason why there is none; and what both calls together used.

    Tokens are None when the provider did not count them.
    """

    answer: T | None = None
    error: MistudioError | None = None
    reply: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0

    def add(self, completion: Completion) -> None:
        """Count one more call."""
        self.reply = storable(completion.text[:LONGEST_KEPT])
        self.seconds += completion.seconds
        self.count(completion.prompt_tokens, completion.completion_tokens)

    def count(self, prompt_tokens: int | None, completion_tokens: int | None) -> None:
        """Add tokens."""
        if prompt_tokens is not None:
            self.prompt_tokens = (self.prompt_tokens or 0) + prompt_tokens
        if completion_tokens is not None:
            self.completion_tokens = (self.completion_tokens or 0) + completion_tokens

    @property
    def kind(self) -> str:
        """A short word for the reason why there is no answer."""
        return self.error.kind if isinstance(self.error, ProviderError | ReplyError) else "other"


def ask(provider: Provider, prompt: Prompt, question: Question[T]) -> Asked[T]:
    """Ask, and once more when the reply cannot be read.

    Raises:
        ProviderSetupError: no prompt can succeed until the user changes something.
    """
    asked: Asked[T] = Asked()
    turn: Prompt | None = prompt
    for _attempt in range(2):
        try:
            completion = provider.complete(turn.messages, question.schema)
            asked.add(completion)
            asked.answer, asked.error = _read(completion, question), None
            return asked
        except ProviderSetupError:
            raise
        except ProviderError as error:
            # Where nobody can be asked a second time, the first reply is the reason.
            if asked.error is None or not isinstance(error, NotAsked):
                asked.error = error
            return asked
        except ReplyError as error:
            asked.error = error
            turn = repair(prompt, asked.reply, error, question.form)
            if turn is None:
                return asked
    return asked


def _read(completion: Completion, question: Question[T]) -> T:
    if completion.finish == "refusal":
        raise ReplyError("The model refused to answer.", "refusal")
    try:
        return question.parse(completion.text)
    except ReplyError as error:
        if completion.finish == "length":
            raise ReplyError("The reply breaks off: the model wrote more than it may.", "truncated") from error
        raise
