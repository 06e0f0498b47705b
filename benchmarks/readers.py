"""Our SAE readers beside the published loaders, on the same files and inputs.

    python -m venv peers
    peers/bin/pip install torch==2.13.0             # first, for a build without CUDA where that is wanted
    peers/bin/pip install "sae-lens>=6.54" "transformer-lens<4" eai-sparsify dictionary-learning llamascopium
    python -m benchmarks.readers --peers peers/bin/python

Every layout is built small with random weights, by ``tests.sae.layouts`` or by the library itself. The loaders run in a
process of their own (``benchmarks.readers_peers``), as their requirements are others than ours; what they fetch from
the hub comes from a hub on this machine. The table gives the largest difference of activations and of reconstructions,
and of our activations from the makers' formula where the layout has one.
"""

import importlib.util
import itertools
import json
import logging
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import load_file, save_file

from mistudio.errors import SAEError
from mistudio.sae.load import load_sae
from tests.sae import layouts as made
from tests.servers.hub import Hub

NORMALIZATIONS = ("none", "layer_norm", "constant_norm_rescale", "expected_average_only_in")
SIZES = {"d_in": made.D_IN, "d_sae": made.D_SAE}
# What the loader of one layout is called in sae_lens.loading.pretrained_sae_loaders.
GEMMA_2, GEMMA_3 = "gemma_2_sae_huggingface_loader", "gemma_3_sae_huggingface_loader"
DICTIONARIES = ("standard", "new", "topk", "batch_topk", "matryoshka", "gated", "jumprelu")


@dataclass
class Row:
    """One line of the table: jobs for the published loader, on paths below the hub's folder that we read too.

    ``per_unit`` is what their activations are divided by before they are compared with ours.
    """

    format: str
    library: str
    jobs: list[dict]
    note: str = ""
    formula: torch.Tensor | None = None
    per_unit: float = 1.0
    found: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


def built(root: Path, name: str, library: str, job: dict, *, at: str = "", file: str = "", note: str = "", build=None,
          **more) -> Row:
    """A row for a layout of ``tests.sae.layouts``, built at ``at`` below the root; ``file`` is the SAE's one file."""
    acts, _decode, *rest = (build or getattr(made, name))(root / (at or f"made/{name}"))
    path = (rest[0] if rest else root / (at or f"made/{name}")) / file
    relative = path.relative_to(root).as_posix()
    return Row(name, library, [{"path": relative} | job], note, acts, **more)


def saelens_rows(root: Path) -> list[Row]:
    """Every architecture, normalisation and use of b_dec; version 6 written by sae-lens, and the flat files before."""
    grid = list(itertools.product(NORMALIZATIONS, (True, False)))
    rows = []
    for architecture in ("standard", "topk", "jumprelu", "gated"):
        common = {"architecture": architecture, **({"k": made.K} if architecture == "topk" else {})}
        for rescale in (False, True) if architecture == "topk" else (False,):
            jobs = [{"how": "saelens_made", "path": f"made/six_{architecture}_{rescale}_{normalize}_{subtract}",
                     "config": common | {"normalize_activations": normalize, "apply_b_dec_to_input": subtract} | (
                         {"rescale_acts_by_decoder_norm": True} if rescale else {})} for normalize, subtract in grid]
            rows.append(Row(f"SAELens 6, {architecture}{', decoder norms' if rescale else ''}", "sae-lens", jobs))
        jobs = [{"how": "saelens", "path": flat_saelens(root, architecture, *each)} for each in grid]
        rows.append(Row(f"SAELens before 6, {architecture}", "sae-lens", jobs))
    for architecture in ("batchtopk", "matryoshka_batchtopk"):
        jobs = [{"how": "saelens_trained", "path": f"made/six_{architecture}_{rescale}",
                 "config": {"architecture": architecture, "k": made.K, "rescale_acts_by_decoder_norm": rescale} | (
                     {"matryoshka_widths": [8, made.D_SAE]} if "matryoshka" in architecture else {})}
                for rescale in (True, False)]
        rows.append(Row(f"SAELens 6, {architecture}, saved for inference", "sae-lens", jobs))
    rows.append(built(root, "saelens_old_scaled", "sae-lens", {"how": "saelens"},
                      note="version 6 has no scaling factors"))
    return rows


def flat_saelens(root: Path, architecture: str, normalize: str, subtract: bool) -> str:
    """The path of a flat config as SAELens wrote it before version 6."""
    path = f"made/flat_{architecture}_{normalize}_{subtract}"
    more = {"threshold": made.THRESHOLD} if architecture == "jumprelu" else {}
    if architecture == "gated":
        more = {"b_gate": made.B_ENC, "r_mag": made.R_MAG, "b_mag": made.B_MAG}
    kind = {"architecture": architecture}
    if architecture == "topk":
        kind = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": made.K}}
    made.saelens(root / path, drop=("b_enc",) if architecture == "gated" else (), more=more, **kind, dtype="float32",
                 hook_name="blocks.3.hook_resid_pre", hook_head_index=None, normalize_activations=normalize,
                 apply_b_dec_to_input=subtract, finetuning_scaling_factor=False)
    return path


def llama_scope_rows(root: Path) -> list[Row]:
    """The authors' package of today, and sae-lens, on decoder norms of any size and of 1."""
    config = json.loads((root / "made" / "llama_scope" / "hyperparams.json").read_text())
    scale = made.D_IN**0.5 / config["dataset_average_activation_norm"]["in"]
    job = {"how": "saelens_loader", "loader": "llama_scope_sae_huggingface_loader",
           "overrides": SIZES | {"dtype": "float32"}, "factor": scale}
    # Input and output share their norm here, as sae-lens takes them for one.
    same = {"dataset_average_activation_norm": {"in": 5.0, "out": 5.0}, "d_sae": made.D_SAE}
    whole = built(root, "llama_scope", "sae-lens", job, at="fnlp/any/L5R", per_unit=scale,
                  build=lambda folder: made.llama_scope(folder, **same),
                  note="leaves decoder norms out of the gate and the activations")
    unit = built(root, "llama_scope, unit decoder", "sae-lens", job, at="fnlp/unit/L5R", per_unit=scale,
                 build=lambda folder: unit_llama_scope(folder, same), note="theirs are in units of training")
    unit.formula = None
    return [whole, unit]


def unit_llama_scope(folder: Path, values: dict) -> tuple:
    found = made.llama_scope(folder, **values)
    path = folder / "checkpoints" / "final.safetensors"
    tensors = load_file(path)
    tensors["decoder.weight"] = tensors["decoder.weight"] / tensors["decoder.weight"].norm(dim=0)
    save_file(tensors, path)
    return found


def other_rows(root: Path) -> list[Row]:
    loader = {"how": "saelens_loader", "overrides": SIZES}
    rows = [
        built(root, "gemma_scope", "sae-lens", loader | {"loader": GEMMA_2}, at="google/gemma-scope-2b-pt-res"),
        built(root, "gemma_scope_2", "sae-lens", loader | {"loader": GEMMA_3},
              at="google/gemma-scope-2-1b-pt/resid_post/layer_7_width_16k_l0_small"),
        built(root, "llama_scope", "llamascopium", {"how": "llamascopium"}, note="theirs times decoder norms")]
    rows += llama_scope_rows(root)
    for kind in DICTIONARIES:
        rows.append(built(root, f"dictionary_{kind}", "dictionary-learning", {"how": "dictionary_learning"}))
    rows += [
        built(root, "sparsify", "eai-sparsify", {"how": "sparsify"}),
        built(root, "sparsify_transcoder", "eai-sparsify", {"how": "sparsify"}),
        built(root, "sparsify", "sae-lens", {"how": "saelens_sparsify"}, at="made/sparsify_again",
              note="transposes the decoder, and subtracts b_dec only from an unnormalised one"),
        built(root, "goodfire", "sae-lens", loader | {"loader": "get_goodfire_huggingface_loader"},
              at="Goodfire/Llama-3.1-8B-Instruct-SAE-l19", file="Llama-3.1-8B-Instruct-SAE-l19.pth"),
        built(root, "qwen_scope", "sae-lens", loader | {"loader": "qwen_scope_sae_huggingface_loader"}, at="Qwen",
              file="layer6.sae.pt")]
    return rows


def compare(row: Row, root: Path, theirs: dict[str, torch.Tensor], errors: dict[str, str]) -> None:
    """Fill the row with the largest differences; NaN where there is nothing to compare with."""
    for job in row.jobs:
        if job["key"] in errors:
            row.note = f"{row.note}; {errors[job['key']]}".removeprefix("; ")
        try:
            sae = load_sae(str(root / job["path"]))
        except SAEError as error:
            row.note = f"{row.note}; ours: {error.message}".removeprefix("; ")
            row.found = [float("nan")] * 3
            return
        acts = sae.encode(made.X)
        pairs = [(acts, theirs.get(f"{job['key']}/acts")),
                 (sae.decode(acts, made.X), theirs.get(f"{job['key']}/x_hat")), (acts, row.formula)]
        if pairs[0][1] is not None:
            pairs[0] = (acts, pairs[0][1] / row.per_unit)
        for number, (ours, other) in enumerate(pairs):
            gap = float("nan") if other is None else float((ours - other).abs().max())
            row.found[number] = max(row.found[number], gap) if gap == gap else gap


def run_peers(python: Path, root: Path, rows: list[Row]) -> tuple[dict[str, torch.Tensor], dict, dict]:
    """Tensors, errors and versions of the published loaders, run in their own environment over a hub of the root."""
    for number, job in enumerate(job for row in rows for job in row.jobs):
        job["key"] = str(number)
    save_file({"x": made.X.contiguous()}, root / "x.safetensors")
    (root / "jobs.json").write_text(json.dumps([job for row in rows for job in row.jobs]))
    script = importlib.util.find_spec("benchmarks.readers_peers").origin
    with Hub(root) as hub, tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": cache, "HF_HUB_OFFLINE": "0",
                                    "PYTHONWARNINGS": "ignore", "SPARSIFY_DISABLE_TRITON": "1"}
        subprocess.run([str(python), script, str(root)], env=environment, stdout=subprocess.DEVNULL, check=True)
    told = json.loads((root / "told.json").read_text())
    return load_file(root / "found.safetensors"), told["errors"], told["versions"]


def main(peers: Annotated[Path, typer.Option(help="Python of an environment with the published loaders.")]):
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        rows = saelens_rows(root) + other_rows(root)
        theirs, errors, versions = run_peers(peers, root, rows)
        print(f"{'format':62} {'published loader':26} {'encode':>8} {'decode':>8} {'formula':>8}  note")
        for row in rows:
            compare(row, root, theirs, errors)
            figures = " ".join(f"{gap:8.0e}" if gap == gap else f"{'-':>8}" for gap in row.found)
            name = f"{row.format} ({len(row.jobs)} files)" if len(row.jobs) > 1 else row.format
            print(f"{name:62} {row.library + ' ' + versions[row.library]:26} {figures}  {row.note}")


if __name__ == "__main__":
    typer.run(main)
