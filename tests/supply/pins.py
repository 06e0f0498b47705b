"""Pin what this environment has: ``python -m tests.supply.pins`` rewrites the versions in requirements.txt,
requirements-ray.txt and constraints.txt (CONTRIBUTING.md says when)."""

import re
from importlib.metadata import distributions, version

from mistudio.settings import PROJECT
from tests.supply.licences import FILES

CONSTRAINTS = PROJECT / "constraints.txt"
HEAD = "# Every package of the environment that the tests passed in; python -m tests.supply.pins writes it.\n"
# They come with the environment, and pip replaces itself.
NOT_OURS = ("pip", "setuptools", "wheel")


def _public(found: str) -> str:
    """Without what tells builds apart: torch for the CPU and for CUDA have the same pin."""
    return found.partition("+")[0]


def main() -> None:
    for name in FILES:
        path = PROJECT / name
        path.write_text(re.sub(r"^([\w.-]+)(\[\w+\])?==[\w.]+", lambda found: f"{found[1]}{found[2] or ''}=="
                               f"{_public(version(found[1]))}", path.read_text(), flags=re.MULTILINE))
    installed = {found.name.lower().replace("_", "-"): _public(found.version) for found in distributions()}
    CONSTRAINTS.write_text(HEAD + "".join(f"{name}=={installed[name]}\n" for name in sorted(installed)
                                          if name not in NOT_OURS))


if __name__ == "__main__":
    main()
