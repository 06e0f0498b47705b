"""The command line: every job of the dashboard also runs from a shell. ``python -m mistudio --help`` lists them."""

import json
import sys
from typing import Annotated

import typer
from sqlalchemy.exc import DBAPIError

from mistudio import __version__
from mistudio.cli import distilling, exchange, fires, jobs, labeling, managing, moving, quality, reading
from mistudio.cli.doctor import doctor
from mistudio.errors import MistudioError
from mistudio.store.failures import failure

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (jobs.demo, jobs.extract, labeling.label, labeling.score, quality.report, distilling.distill,
                distilling.adapters, reading.runs, reading.features, reading.show, reading.prompts, reading.search,
                fires.fires, managing.extractions, managing.rename, managing.delete, managing.compare,
                moving.copy, moving.backup, doctor):
    app.command()(command)
app.command("export")(exchange.export_file)
app.command("import")(exchange.import_file)
app.command("import-features")(exchange.import_features)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"mistudio {__version__}")
        raise typer.Exit


@app.callback()
def _before(_version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True,
                                                   help="Print the version and end.")] = False) -> None:
    """Name, check and search the features of a sparse autoencoder."""


def main() -> None:
    """Run one command. An expected failure is a message and a hint on stderr and exit status 1, never a traceback."""
    try:
        app(prog_name="python -m mistudio")
    except MistudioError as error:
        _fail(error.message, error.hint)
    except DBAPIError as error:
        known = failure(error)
        _fail(known.message, known.hint)


def _fail(message: str, hint: str) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "hint": hint}), file=sys.stderr)
    else:
        print(f"Error: {message}", *([hint] if hint else []), sep="\n", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
