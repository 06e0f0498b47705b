"""What is installed, shipped and downloaded is known: versions, licences, hashes."""

import re
from importlib.metadata import distributions, version

import pytest

import mistudio
from mistudio.demo.setup import SAE_FOLDER
from mistudio.demo.sums import NAME, write_sums, wrong_files
from mistudio.doctor import pinned
from mistudio.settings import PROJECT
from tests.shell import shell
from tests.supply.licences import FILES, PAGE, rows
from tests.supply.pins import CONSTRAINTS

SHIPPED = (SAE_FOLDER, SAE_FOLDER.parent / "adapter")


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_and_the_one_that_is_tested(name):
    for line in (PROJECT / name).read_text().splitlines():
        line = line.partition("#")[0].strip()
        if not line or line in ("-c constraints.txt", "-r requirements.txt"):
            continue
        package, pinned = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?==([\w.]+)(?:; .+)?", line).groups()
        assert version(package).partition("+")[0] == pinned, f"{package}: run pip install -r {name}"


def test_the_constraints_are_the_versions_that_are_tested():
    listed = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#"))
    installed = {found.name.lower().replace("_", "-"): found.version.partition("+")[0] for found in distributions()}
    others = {name: (pin, installed[name]) for name, pin in listed.items() if installed.get(name, pin) != pin}
    assert others == {}, "run pip install -r requirements.txt, or python -m tests.supply.pins"
    for name in FILES:
        for package, pin in pinned(PROJECT / name):
            assert listed[package] == pin


def test_every_requirement_has_its_licence_on_the_page():
    listed = dict(re.findall(r"^\| ([\w.\[\]-]+) \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE))
    del listed["package"]
    found = {row.package: row.licence for row in rows()}
    # Builds of torch differ in what they carry; the page has the CPU's.
    assert listed.pop("torch") and found.pop("torch")
    assert listed == found, "run python -m tests.supply.licences"


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_what_is_shipped_is_what_its_sums_say(folder):
    assert wrong_files(folder) == []
    listed = {line.split("  ")[1] for line in (folder / NAME).read_text().splitlines()}
    assert {path.name for path in folder.glob("*.safetensors")} < listed


def test_a_changed_and_a_missing_file_are_told(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    write_sums(tmp_path)
    assert wrong_files(tmp_path) == []
    (tmp_path / "a").write_text("other")
    (tmp_path / "b").unlink()
    assert wrong_files(tmp_path) == ["a", "b"]


def test_the_version_is_said_and_described():
    assert shell("--version")[0] == f"mistudio {mistudio.__version__}\n"
    assert f"## {mistudio.__version__}" in (PROJECT / "CHANGELOG.md").read_text()
