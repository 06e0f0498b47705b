"""``doctor``: what works here, what does not, and what to do."""

import typer

from mistudio.cli.options import AsJson, Database
from mistudio.cli.output import plain, print_json
from mistudio.doctor import examine


def doctor(db: Database = None, as_json: AsJson = False) -> None:
    """Check versions, disk, database, memory, models and providers, and say what to fix. It changes nothing.

    Exit status 1 where something that is asked for cannot work. Keys are never printed.
    """
    found = []
    for finding in examine(db):
        found.append(finding)
        if not as_json:
            print(f"{finding.state:8} {finding.check:18} {plain(finding.text)}", flush=True)
            if finding.hint:
                print(f"{'':27} {plain(finding.hint)}", flush=True)
    if as_json:
        print_json([finding._asdict() for finding in found])
    raise typer.Exit(any(finding.state == "problem" for finding in found))
