"""Load an SAE from a local folder or file, or a Hugging Face id."""

from pathlib import Path

from mistudio.errors import SAEError
from mistudio.sae.dictionary_learning import read_dictionary_learning
from mistudio.sae.gemma_scope import read_gemma_scope
from mistudio.sae.hub import fetch
from mistudio.sae.llama_scope import read_llama_scope
from mistudio.sae.sae import SAE
from mistudio.sae.saelens import read_saelens
from mistudio.sae.single import read_plain, read_torch_file
from mistudio.sae.sparsify import read_sparsify

# The files by which a format is known.
FORMATS = {
    "cfg.json + sae_weights.safetensors": read_saelens,
    "cfg.json + sae.safetensors": read_sparsify,
    "hyperparams.json + checkpoints/final.safetensors": read_llama_scope,
    "config.json + ae.pt": read_dictionary_learning,
    "params.safetensors": read_gemma_scope,
    "params.npz": read_gemma_scope,
}
SINGLE = {".pt": read_torch_file, ".pth": read_torch_file, ".safetensors": read_plain}
# Trained on TransformerLens's GPT-2 with centred weights, which their files do not say (SAELens keeps it apart too).
CENTRED = ("jbloom/GPT2-Small-SAEs-Reformatted", "jbloom/GPT2-Small-Feature-Splitting-Experiment-Layer-8",
           "tommmcgrath/gpt2-small-mlp-out-saes")


def load_sae(name: str) -> SAE:
    """Read an SAE as float32 on the CPU.

    Args:
        name: a local folder or file, or a Hugging Face id, with ``:`` and a folder or file of the repository appended
            where the SAE does not lie at its top. Of a repository, no more is fetched than that folder or file.

    Raises:
        SAEError: nothing is there, the files are of no known format, or a tensor does not fit.
    """
    path = Path(name)
    if not path.exists():
        path = fetch(name)
    sae = _read(path)
    if sae is None:
        raise SAEError(f"{name!r} holds no SAE of a known format.",
                       f"It should hold one of: {'; '.join(FORMATS)}; or one .pt, .pth or .safetensors file.")
    if sae.k is not None and not 0 < sae.k <= sae.d_sae:
        raise SAEError(f"The SAE has {sae.d_sae} features, of which {sae.k} are to be active.",
                       "Check k in its config.")
    sae.name, sae.center = name, sae.center or name.partition(":")[0] in CENTRED
    return sae


def _read(path: Path) -> SAE | None:
    """With the first reader whose files are there. A file of a format that has several stands for its folder."""
    folder = path.parent if path.is_file() else path
    for files, reader in FORMATS.items():
        wanted = [folder / file for file in files.split(" + ")]
        if all(file.exists() for file in wanted) and (folder == path or path in wanted):
            return reader(folder)
    if path.is_file():
        return SINGLE[path.suffix](path) if path.suffix in SINGLE else None
    for endings in ((".pt", ".pth"), (".safetensors",)):
        found = [file for file in sorted(folder.iterdir()) if file.suffix in endings]
        if len(found) == 1:
            return SINGLE[found[0].suffix](found[0])
    return None
