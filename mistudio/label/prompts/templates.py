"""Prompt templates: the package's own files beside this one, named with their version, and the user's.

A template is a text file of sections that begin with a line ``=== system``, ``=== user`` or ``=== assistant``: the
rules once, then any number of worked examples, each evidence and answer. The user's files lie in the folder ``prompts``
of the data folder; one that has the name of a file of the package is used in its place.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mistudio.errors import ProviderSetupError, ReplyError
from mistudio.label.answer import parse_reply
from mistudio.settings import settings

PACKAGE = Path(__file__).parent
USUAL = "standard-v2"
SECTIONS = ("system", "user", "assistant")
_HINT = f"Begin from a copy of {PACKAGE / f'{USUAL}.md'}, and keep its sections."


@dataclass(frozen=True)
class Template:
    """Messages as ``{"role", "content"}`` that come first in every prompt, the same for every feature.

    ``hash`` is the first 16 hex digits of their SHA-256: the same on every machine, for every feature and run, and
    another as soon as a word changes. ``own`` says that it is the user's file; ``refused`` why a worked answer in it is
    no label, empty when all are.
    """

    name: str
    messages: tuple[dict[str, str], ...]
    hash: str
    own: bool
    refused: str

    @property
    def first_line(self) -> str:
        return self.messages[0]["content"].split("\n", 1)[0]


def load_template(template: str | Path) -> Template:
    """A template by name, or from a path.

    Raises:
        ProviderSetupError: there is no such template, or its sections are not those of a template.
    """
    path = template if isinstance(template, Path) else _path(template)
    if path is None:
        raise ProviderSetupError(f"There is no prompt template {template!r}.",
                                 f"Use one of: {', '.join(_names())}; your own go into {_folder()}.", kind="prompt")
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError) as error:
        raise ProviderSetupError(f"The prompt template {path} cannot be read: {error}", _HINT, kind="prompt") from error


def label_template(template: str | Path) -> Template:
    """As ``load_template``, for a template that asks for labels.

    Raises:
        ProviderSetupError: also when one of its worked answers is not a label in the format that is read.
    """
    found = load_template(template)
    if found.refused:
        raise ProviderSetupError(f"A worked answer in the prompt template {found.name} is no label: {found.refused}",
                                 _HINT, kind="prompt")
    return found


def label_templates() -> tuple[list[Template], list[ProviderSetupError]]:
    """Every template that asks for labels, by name; and what is wrong with files of the user that do not."""
    found, wrong = [], []
    for name in _names():
        try:
            found.append(label_template(name))
        except ProviderSetupError as error:
            if _path(name).parent != PACKAGE:
                wrong.append(error)
    return found, wrong


def hash_of(messages: list[dict[str, str]] | tuple[dict[str, str], ...]) -> str:
    """The first 16 hex digits of the SHA-256 of messages."""
    return hashlib.sha256(json.dumps(list(messages)).encode()).hexdigest()[:16]


def _folder() -> Path:
    return settings().data_dir / "prompts"


def _names() -> list[str]:
    return sorted({path.stem for folder in (_folder(), PACKAGE) for path in folder.glob("*.md")})


def _path(name: str) -> Path | None:
    """A name is never a path, so that whoever may name a template can read no other file."""
    paths = (folder / f"{name}.md" for folder in (_folder(), PACKAGE))
    return next((path for path in paths if re.fullmatch(r"[A-Za-z0-9_-]+", name) and path.is_file()), None)


@lru_cache(maxsize=32)
def _read(path: Path, _changed: int) -> Template:
    before, *parts = re.split(r"^=== *(.*?) *$\n?", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    messages = tuple({"role": role, "content": text.strip()}
                     for role, text in zip(parts[::2], parts[1::2], strict=True))
    roles = [message["role"] for message in messages]
    wrong = None
    if unknown := [role for role in roles if role not in SECTIONS]:
        wrong = f"has a section {unknown[0]!r}; the known ones are {', '.join(SECTIONS)}"
    elif before.strip():
        wrong = "has text before its first section"
    elif roles != ["system", *["user", "assistant"] * (len(roles) // 2)]:
        wrong = "does not have one section system and then pairs of user and assistant"
    elif not all(message["content"] for message in messages):
        wrong = "has an empty section"
    if wrong:
        raise ProviderSetupError(f"The prompt template {path.name} {wrong}.", _HINT, kind="prompt")
    return Template(path.stem, messages, hash_of(messages), path.parent != PACKAGE, _refused(messages))


def _refused(messages: tuple[dict[str, str], ...]) -> str:
    for message in messages:
        if message["role"] == "assistant":
            try:
                parse_reply(message["content"])
            except ReplyError as error:
                return error.message
    return ""
