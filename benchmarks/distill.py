"""What a distillation of a database's labels brings: before and after on labels held out, time and memory.

    python -m benchmarks.distill --db URL --extraction ID                     # the approved labels
    python -m benchmarks.distill --db URL --extraction ID --labels current --epochs 6 --keep NAME
"""

import resource
import time
from typing import Annotated

import torch
import typer

from mistudio.cli.distilling import print_card
from mistudio.cli.options import takes
from mistudio.cli.output import Steps
from mistudio.distill.config import DistillConfig
from mistudio.distill.job import distill
from mistudio.errors import MistudioError
from mistudio.label.adapters import remove_adapter
from mistudio.store import open_store

NAME = "benchmark"


@takes(DistillConfig)
def main(
    given: dict,
    *,
    db: Annotated[str | None, typer.Option(help="SQLAlchemy URL of a database; the usual one if unset.")] = None,
    extraction: Annotated[int | None, typer.Option(help="Which extraction; the newest finished one if unset.")] = None,
    keep: Annotated[str, typer.Option(help="Keep the adapter under this name.")] = "",
) -> None:
    config = DistillConfig.checked(**given)
    started = time.monotonic()
    with Steps() as steps:
        card = distill(open_store(db), keep or NAME, config, extraction, progress=steps)
    took = time.monotonic() - started
    print_card(card)
    print(f"{config.epochs} epochs, {torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}, "
          f"{torch.get_num_threads()} threads: {took / 60:.1f} min with both measurements, peak memory "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if not keep:
        remove_adapter(NAME)


if __name__ == "__main__":
    try:
        typer.run(main)
    except MistudioError as error:
        raise SystemExit(str(error)) from error
