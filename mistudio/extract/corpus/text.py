"""Documents of plain text files."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mistudio.errors import CorpusError
from mistudio.extract.corpus.document import Document

ENDINGS = (".txt", ".md", ".py")
PIECE = 4_000  # characters of a document, before it ends at the next blank line
LONGEST = 40_000  # characters, where there is no blank line
CHUNK = 1 << 16


def text_documents(path: Path) -> Iterator[Document]:
    """Documents of a UTF-8 text file, or of every ``.txt``, ``.md`` and ``.py`` file below a folder.

    A file is cut into documents at blank-line boundaries near every 4,000 characters, so that it can be split.

    Raises:
        CorpusError: nothing is there, or it is not text.
    """
    if not path.exists():
        raise CorpusError(f"The corpus {str(path)!r} does not exist.", "Give a text file or a folder of text files.")
    files = [path] if path.is_file() else sorted(file for ending in ENDINGS for file in path.rglob(f"*{ending}"))
    if not files:
        raise CorpusError(f"There are no .txt, .md or .py files in {str(path)!r}.", "Choose another folder.")
    for file in files:
        # Files of one name in two folders are two documents.
        name = file.name if file == path else file.relative_to(path).as_posix()
        try:
            with file.open(encoding="utf-8") as opened:
                for number, piece in enumerate(_pieces(opened)):
                    yield Document(f"{name}#{number}", piece)
        except UnicodeDecodeError as error:
            raise CorpusError(f"{str(file)!r} is not UTF-8 text.", "Convert it, or leave it out.") from error
        except OSError as error:
            raise CorpusError(f"{str(file)!r} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _pieces(file: TextIO) -> Iterator[str]:
    rest, more = "", True
    while more or rest:
        while more and len(rest) < LONGEST:
            chunk = file.read(CHUNK)
            rest += chunk
            more = bool(chunk)
        end = rest.find("\n\n", PIECE, LONGEST)
        end = min(len(rest), LONGEST) if end < 0 else end + 2
        if rest[:end].strip():
            yield rest[:end]
        rest = rest[end:]
