"""Ask a judge about windows: which fit a label (detection), or where the right tokens are marked (fuzzing)."""

from functools import partial

from mistudio.errors import ReplyError
from mistudio.label.answer import json_values
from mistudio.label.ask import Asked, Question, ask
from mistudio.label.completion import fenced, marked
from mistudio.label.prompts import Prompt, render_question
from mistudio.label.providers import Provider
from mistudio.score.trials import Trial

TEMPLATES = {"detection": "detection-v1", "fuzzing": "fuzzing-v1"}
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["answers"],
    "properties": {"answers": {"type": "array", "items": {
        "type": "object", "additionalProperties": False, "required": ["window", "fits"],
        "properties": {"window": {"type": "integer"}, "fits": {"type": "boolean"}}}}}}


Call = tuple[Prompt, Question[list[bool]]]


def calls(method: str, label: str, explanation: str, trials: tuple[Trial, ...], per_call: int) -> list[Call]:
    """What to ask a judge about all these windows, so many a call.

    Args:
        method: ``detection`` or ``fuzzing``.
    """
    parts = [trials[start:start + per_call] for start in range(0, len(trials), per_call)]
    return [(question(method, label, explanation, part), _question(len(part))) for part in parts]


def judge(provider: Provider, asking: list[Call]) -> Asked[list[bool]]:
    """What a judge says of each window, in their order; or the first reason why it said nothing of some.

    Raises:
        ProviderSetupError: no prompt can succeed until the user changes something.
    """
    whole: Asked[list[bool]] = Asked(answer=[])
    for prompt, form in asking:
        asked = ask(provider, prompt, form)
        whole.count(asked.prompt_tokens, asked.completion_tokens)
        whole.seconds += asked.seconds
        if asked.answer is None:
            whole.answer, whole.error, whole.reply = None, asked.error, asked.reply
            return whole
        whole.answer.extend(asked.answer)
    return whole


def question(method: str, label: str, explanation: str, trials: tuple[Trial, ...]) -> Prompt:
    """The prompt of one call."""
    def show(trial: Trial) -> str:
        return marked((text, method == "fuzzing" and at in trial.marks) for at, text in enumerate(trial.texts))

    lines = [f"Label: {fenced(label)}", *([f"Explanation: {fenced(explanation)}"] if explanation else []), "",
             "Windows", *(f"{number}. {show(trial)}" for number, trial in enumerate(trials, 1))]
    return render_question(TEMPLATES[method], "\n".join(lines))


def parse_verdicts(raw: str, count: int) -> list[bool]:
    """Whether each of the windows 1 to ``count`` fits.

    Raises:
        ReplyError: the reply is not such an object, or a window is missing, unknown or answered twice.
    """
    for value in json_values(raw):
        answers = value.get("answers") if isinstance(value, dict) else None
        if isinstance(answers, list):
            return _verdicts(answers, count)
    raise ReplyError("The reply is not the JSON that was asked for.", "wrong schema")


def _verdicts(answers: list, count: int) -> list[bool]:
    said: dict[int, bool] = {}
    for entry in answers:
        number, fits = (entry.get("window"), entry.get("fits")) if isinstance(entry, dict) else (None, None)
        if type(number) is not int or type(fits) is not bool or not 1 <= number <= count:
            raise ReplyError("An answer does not name one of the windows and true or false.", "wrong schema")
        if number in said:
            raise ReplyError(f"Window {number} was answered twice.", "wrong schema")
        said[number] = fits
    missing = [number for number in range(1, count + 1) if number not in said]
    if missing:
        raise ReplyError(f"No answer for window {', '.join(map(str, missing))}.", "missing windows")
    return [said[number] for number in range(1, count + 1)]


def _question(count: int) -> Question[list[bool]]:
    form = (f'one JSON object with the key "answers", a list with one {{"window": number, "fits": true or false}} for '
            f"each of the {count} windows")
    return Question(SCHEMA, partial(parse_verdicts, count=count), form)
