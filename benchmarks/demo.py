"""How long the demo takes from nothing, how long again, and the most memory it uses.

    python -m benchmarks.demo [--tokens 250000] [--label 60] [--keep FILE]

Each step is the shell's own command in a process of its own, in an empty data folder: the first also fetches the model.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer


def main(
    tokens: Annotated[int, typer.Option(help="Size of the extraction.")] = 250_000,
    label: Annotated[int, typer.Option(help="Features to label.")] = 60,
    keep: Annotated[Path | None, typer.Option(help="Where to put the database afterwards.")] = None,
):
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MISTUDIO_DATA_DIR": folder, "MISTUDIO_DATABASE_URL": f"sqlite:///{folder}/demo.db"}
        command = [sys.executable, "-m", "mistudio", "demo", "--tokens", str(tokens), "--label", str(label)]
        for name in ("from nothing", "second start"):
            started = time.monotonic()
            subprocess.run(command, env=environment, check=True)
            print(f"{name:14} {time.monotonic() - started:8.1f} s", flush=True)
        subprocess.run([sys.executable, "-m", "mistudio", "features", "--limit", "5"], env=environment, check=True)
        print(f"{'database':14} {Path(folder, 'demo.db').stat().st_size / 1e6:8.1f} MB")
        print(f"{'peak memory':14} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:8,.0f} MB")
        if keep is not None:
            shutil.copy(Path(folder, "demo.db"), keep)


if __name__ == "__main__":
    typer.run(main)
