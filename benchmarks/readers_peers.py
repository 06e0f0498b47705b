"""The part of ``benchmarks.readers`` that runs the published loaders; it imports nothing of ours.

    PYTHON readers_peers.py FOLDER

The folder holds ``jobs.json`` and ``x.safetensors``; ``found.safetensors`` gets activations and reconstructions by job,
``told.json`` the errors and versions.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

LIBRARIES = ("sae-lens", "eai-sparsify", "dictionary-learning", "llamascopium")


def saelens(root: Path, job: dict):
    from sae_lens import SAE

    return SAE.load_from_disk(root / job["path"], device="cpu")


def randomize(module: torch.nn.Module) -> torch.nn.Module:
    """Random parameters; thresholds are positive, as trained ones."""
    random = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
        if "threshold" in name:
            parameter.data.abs_()
    return module


def saelens_made(root: Path, job: dict):
    """An SAE of sae-lens, saved by it and loaded again."""
    from sae_lens.registry import get_sae_class

    config = dict(job["config"])
    kind, settings = get_sae_class(config.pop("architecture"))
    randomize(kind(settings(d_in=6, d_sae=20, **config))).save_model(root / job["path"])
    return saelens(root, job)


def saelens_trained(root: Path, job: dict):
    """An SAE as it is trained, saved for inference by sae-lens and loaded again."""
    from sae_lens.registry import get_sae_training_class

    config = dict(job["config"])
    kind, settings = get_sae_training_class(config.pop("architecture"))
    sae = randomize(kind(settings(d_in=6, d_sae=20, **config)))
    sae.topk_threshold.fill_(0.7)
    sae.save_inference_model(root / job["path"])
    return saelens(root, job)


def saelens_loader(root: Path, job: dict):
    """What one of sae-lens's own loaders makes of a repository of the hub."""
    from sae_lens import SAE
    from sae_lens.loading import pretrained_sae_loaders as loaders

    owner, name, *folders = job["path"].split("/")

    def convert(*_args, **_kwargs):
        return getattr(loaders, job["loader"])(f"{owner}/{name}", "/".join(folders), device="cpu",
                                               cfg_overrides=job["overrides"])[:2]

    sae = SAE.load_from_disk("", converter=convert)
    if "factor" in job:
        sae.fold_activation_norm_scaling_factor(job["factor"])
    return sae


def saelens_sparsify(root: Path, job: dict):
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import sparsify_disk_loader

    return SAE.load_from_disk(root / job["path"], dtype="float32", converter=sparsify_disk_loader)


class Sparsify:
    """A coder of sparsify, which gives the k largest activations and their indices, with all activations."""

    def __init__(self, root: Path, job: dict):
        from sparsify import SparseCoder

        self.coder = SparseCoder.load_from_disk(root / job["path"])

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        found = self.coder.encode(x)
        return torch.zeros_like(found.pre_acts).scatter_(-1, found.top_indices, found.top_acts)

    def decode(self, acts: torch.Tensor) -> torch.Tensor:
        values, indices = acts.topk(self.coder.cfg.k)
        return self.coder.decode(values, indices)


def dictionary_learning(root: Path, job: dict):
    from dictionary_learning.utils import load_dictionary

    return load_dictionary(str(root / job["path"]), "cpu")[0]


class Llamascopium:
    """The authors' SAE of today, folded for inference, with the published files' weights.

    At the release decoder rows had norm 1 after that, so activations took the norms on.
    """

    def __init__(self, root: Path, job: dict):
        from llamascopium.models.sae import SAEConfig, SparseAutoEncoder

        told = json.loads((root / job["path"] / "hyperparams.json").read_text())
        found = load_file(root / job["path"] / "checkpoints" / "final.safetensors")
        d_sae, d_in = found["encoder.weight"].shape
        self.sae = SparseAutoEncoder(SAEConfig(
            hook_point_in="in", hook_point_out="out", d_model=d_in, expansion_factor=d_sae / d_in, act_fn="jumprelu",
            norm_activation=told["norm_activation"], dtype=torch.float32, device="cpu",
            sparsity_include_decoder_norm=told["sparsity_include_decoder_norm"]))
        self.sae.load_full_state_dict({
            "W_E": found["encoder.weight"].T, "b_E": found["encoder.bias"], "W_D": found["decoder.weight"].T,
            "b_D": found["decoder.bias"], "activation_function.log_jumprelu_threshold": torch.full(
                (d_sae,), told["jump_relu_threshold"]).log()})
        self.sae.set_dataset_average_activation_norm(told["dataset_average_activation_norm"])
        self.sae.standardize_parameters_of_dataset_norm()

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.sae.encode(x) * self.sae.decoder_norm()

    def decode(self, acts: torch.Tensor) -> torch.Tensor:
        return self.sae.decode(acts / self.sae.decoder_norm())


HOW = {"saelens": saelens, "saelens_made": saelens_made, "saelens_trained": saelens_trained,
       "saelens_loader": saelens_loader, "saelens_sparsify": saelens_sparsify, "sparsify": Sparsify,
       "dictionary_learning": dictionary_learning, "llamascopium": Llamascopium}


@torch.no_grad()
def main(root: Path) -> None:
    x = load_file(root / "x.safetensors")["x"]
    found, errors = {}, {}
    for job in json.loads((root / "jobs.json").read_text()):
        try:
            sae = HOW[job["how"]](root, job)
            acts = sae.encode(x)
            found[f"{job['key']}/acts"] = acts.float().contiguous()
            found[f"{job['key']}/x_hat"] = sae.decode(acts).float().contiguous()
        except Exception as error:
            errors[job["key"]] = f"theirs: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
    save_file(found, root / "found.safetensors")
    versions = {name: version(name) for name in LIBRARIES}
    (root / "told.json").write_text(json.dumps({"errors": errors, "versions": versions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
