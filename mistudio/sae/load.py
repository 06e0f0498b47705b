"""Load an SAE from a local folder or a Hugging Face id."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from mistudio.errors import SAEError
from mistudio.sae.dictionary_learning import read_dictionary_learning
from mistudio.sae.gemma_scope import read_gemma_scope
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
    "config.json + params.safetensors": read_gemma_scope,
    "params.npz": read_gemma_scope,
}
# Trained on TransformerLens's GPT-2 with centred weights, which their files do not say (SAELens keeps it apart too).
CENTRED = ("jbloom/GPT2-Small-SAEs-Reformatted", "jbloom/GPT2-Small-Feature-Splitting-Experiment-Layer-8",
           "tommmcgrath/gpt2-small-mlp-out-saes")


def load_sae(name: str) -> SAE:
    """Read an SAE as float32 on the CPU.

    Args:
        name: a local folder, or a Hugging Face id, with ``:subfolder`` appended where the SAE lies in one.

    Raises:
        SAEError: nothing is there, the files are of no known format, or a tensor does not fit.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _from_hub(name)
    sae = _read(folder)
    if sae is None:
        raise SAEError(f"{name!r} holds no SAE of a known format.",
                       f"It should hold one of: {'; '.join(FORMATS)}; or one .pt, .pth or .safetensors file.")
    sae.name, sae.center = name, sae.center or name.partition(":")[0] in CENTRED
    return sae


def _read(folder: Path) -> SAE | None:
    """With the first reader whose files are there."""
    for files, reader in FORMATS.items():
        if all((folder / file).exists() for file in files.split(" + ")):
            return reader(folder)
    for endings, reader in (((".pt", ".pth"), read_torch_file), ((".safetensors",), read_plain)):
        found = [file for file in sorted(folder.iterdir()) if file.suffix in endings]
        if len(found) == 1:
            return reader(found[0])
    return None


def _from_hub(name: str) -> Path:
    repository, _, subfolder = name.partition(":")
    try:
        patterns = [f"{subfolder}/*"] if subfolder else None
        return Path(snapshot_download(repository, allow_patterns=patterns)) / subfolder
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SAEError(f"The SAE {name!r} was not found: {first}",
                       "Give a folder on this machine, or a Hugging Face id such as owner/name:subfolder.") from error
