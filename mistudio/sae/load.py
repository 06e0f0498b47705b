"""Load an SAE from a local folder or a Hugging Face id."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from mistudio.errors import SAEError
from mistudio.sae.sae import SAE
from mistudio.sae.saelens import read_saelens

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
    if (folder / "cfg.json").exists() and (folder / "sae_weights.safetensors").exists():
        sae = read_saelens(folder)
        sae.name, sae.center = name, sae.center or name.partition(":")[0] in CENTRED
        return sae
    raise SAEError(f"{name!r} holds no SAE of a known format.",
                   "A folder with cfg.json and sae_weights.safetensors (SAELens) is expected.")


def _from_hub(name: str) -> Path:
    repository, _, subfolder = name.partition(":")
    try:
        patterns = [f"{subfolder}/*"] if subfolder else None
        return Path(snapshot_download(repository, allow_patterns=patterns)) / subfolder
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SAEError(f"The SAE {name!r} was not found: {first}",
                       "Give a folder on this machine, or a Hugging Face id such as owner/name:subfolder.") from error
