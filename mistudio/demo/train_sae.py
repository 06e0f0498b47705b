"""Train the demo's SAE: ``python -m mistudio.demo.train_sae --cache FOLDER --out FOLDER``.

A TopK SAE on the residual stream of SmolLM2-135M after ``layers.9``, with the unit-norm decoder and AuxK loss of Gao et
al. 2024, inputs centred and scaled, saved in the SAELens layout as float16. BatchTopK (Bussmann et al. 2024) was tried
too: it reconstructs better, but its features are less consistent (see the model card).

Activations are computed once and kept in ``--cache`` (2 bytes x 576 a token), so several settings can be tried.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from mistudio.demo.activations import CONTEXT_LENGTH, HOOK_POINT, cache_activations, load_cache
from mistudio.demo.measure_sae import measure
from mistudio.demo.sums import write_sums

D_SAE = 4608
BATCH = 1024
DEAD_AFTER = 400_000  # tokens without an activation
AUX_K = 32
AUX_WEIGHT = 1 / 32


class _Selected(torch.autograd.Function):
    """A few of the pre-activations ``x @ W_enc.T + b_enc``: computed elsewhere, differentiated only where chosen."""

    @staticmethod
    def forward(ctx, value: Tensor, x: Tensor, W_enc: Tensor, b_enc: Tensor, row: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(x, W_enc, row, index)
        return value

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, W_enc, row, index = ctx.saved_tensors
        grad_W = torch.zeros_like(W_enc).index_add_(0, index, grad[:, None] * x[row])
        return None, None, grad_W, torch.zeros(len(W_enc)).index_add_(0, index, grad), None, None


class Trainee(torch.nn.Module):
    """The SAE while it trains, on inputs centred and scaled to a mean squared norm of ``d_in``.

    W_enc and W_dec are both ``[d_sae, d_in]`` here, so that the few active rows can be updated by index.
    """

    def __init__(self, d_in: int, d_sae: int):
        super().__init__()
        W_dec = F.normalize(torch.randn(d_sae, d_in), dim=1)
        self.W_dec = torch.nn.Parameter(W_dec)
        self.W_enc = torch.nn.Parameter(W_dec.clone())
        self.b_enc = torch.nn.Parameter(torch.zeros(d_sae))
        self.b_dec = torch.nn.Parameter(torch.zeros(d_in))

    def active(self, x: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The k strongest activations of each row, as far as they are positive ``[m]``; their rows and features."""
        x = x - self.b_dec.detach()
        with torch.no_grad():
            pre = x.bfloat16() @ self.W_enc.bfloat16().T + self.b_enc.bfloat16()
            value, index = torch.topk(pre, k, dim=1, sorted=False)
            row, column = (value > 0).nonzero(as_tuple=True)
            value, index = value[row, column].float(), index[row, column]
        return _Selected.apply(value, x, self.W_enc, self.b_enc, row, index), row, index

    def decode(self, value: Tensor, row: Tensor, index: Tensor, rows: int) -> Tensor:
        starts = torch.searchsorted(row, torch.arange(rows))
        return F.embedding_bag(index, self.W_dec, starts, per_sample_weights=value, mode="sum") + self.b_dec

    def aux_loss(self, x: Tensor, error: Tensor, dead: Tensor) -> Tensor:
        """How badly the dead latents alone explain what the live ones left over."""
        pre = (x - self.b_dec).bfloat16() @ self.W_enc[dead].bfloat16().T
        value, index = torch.topk(F.relu(pre.float() + self.b_enc[dead]), min(AUX_K, len(dead)), dim=1)
        guess = F.embedding_bag(dead[index], self.W_dec, per_sample_weights=value, mode="sum")
        loss = (guess - error).square().sum(1).mean() / error.square().sum(1).mean()
        return torch.nan_to_num(loss)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 3%, constant, linear decay to zero over the last 30%."""
    return peak * min(1.0, (step + 1) / (0.03 * steps), (steps - step) / (0.3 * steps))


def train(acts: Tensor, rows: Tensor, scale: float, mean: Tensor, *, k: int, epochs: float, seed: int) -> Trainee:
    """Train on ``acts[rows]``; the SAE works on ``(acts - mean) / scale``.

    Args:
        acts: ``[tokens, d_in]`` float16, raw.
        k: activations a token.
    """
    torch.manual_seed(seed)
    d_in = acts.shape[1]
    sae = Trainee(d_in, D_SAE)
    optimiser = torch.optim.Adam(sae.parameters(), lr=0.0, betas=(0.9, 0.999), fused=True)
    steps = int(len(rows) * epochs) // BATCH
    silent = torch.zeros(D_SAE)
    order = torch.cat([rows[torch.randperm(len(rows))] for _ in range(int(epochs) + 1)])
    started = time.monotonic()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, 8e-4)
        x = (acts[order[step * BATCH:(step + 1) * BATCH]].float() - mean) / scale
        value, row, index = sae.active(x, k)
        error = sae.decode(value, row, index, len(x)) - x
        loss = error.square().sum(1).mean() / d_in
        with torch.no_grad():
            silent += len(x)
            silent[index] = 0
            dead = (silent > DEAD_AFTER).nonzero().flatten()
        total = loss
        if len(dead):
            total = loss + AUX_WEIGHT * sae.aux_loss(x, -error.detach(), dead)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        with torch.no_grad():
            sae.W_dec.copy_(F.normalize(sae.W_dec, dim=1))
        if step % 200 == 0:
            rate = (step + 1) * BATCH / (time.monotonic() - started)
            print(f"step {step}/{steps}  loss {loss.item():.4f}  L0 {len(value) / len(x):.1f}  "
                  f"dead {len(dead)}  {rate:,.0f} tokens/s", flush=True)
    return sae


def save(folder: Path, sae: Trainee, scale: float, mean: Tensor, training: dict) -> None:
    """Fold centring and scaling into the weights, and write the SAELens layout. Decoder rows stay unit length."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"W_enc": sae.W_enc.T, "W_dec": sae.W_dec, "b_enc": sae.b_enc * scale, "b_dec": sae.b_dec * scale + mean}
    save_file({name: tensor.detach().half().contiguous() for name, tensor in tensors.items()},
              folder / "sae_weights.safetensors")
    config = {
        "architecture": "topk", "k": training["k"], "d_in": sae.W_enc.shape[1], "d_sae": sae.W_enc.shape[0],
        "dtype": "float16", "apply_b_dec_to_input": True, "normalize_activations": "none", "device": "cpu",
        "metadata": {"model_name": "HuggingFaceTB/SmolLM2-135M-Instruct", "hook_name": "blocks.9.hook_resid_post",
                     "hook_point": HOOK_POINT, "context_size": CONTEXT_LENGTH, "prepend_bos": True,
                     "dataset_path": "text of installed packages (mistudio.demo.corpus)", "training": training},
    }
    (folder / "cfg.json").write_text(json.dumps(config, indent=1) + "\n")
    write_sums(folder, ["cfg.json", "sae_weights.safetensors"])


def main(
    cache: Annotated[Path, typer.Option(help="Folder for the activations (6 GB for 5M tokens).")],
    out: Annotated[Path, typer.Option(help="Folder to write the SAE to.")],
    tokens: Annotated[int, typer.Option(help="Tokens of the corpus to use.")] = 5_020_000,
    k: Annotated[int, typer.Option(help="Activations a token.")] = 7,
    epochs: Annotated[float, typer.Option(help="Passes over the tokens.")] = 4.0,
    seed: int = 0,
) -> None:
    """Train, measure and save the demo's SAE."""
    data = load_cache(cache_activations(cache, tokens))
    held_out = torch.from_numpy(data.document % 20 == 0)
    rows = (~held_out).nonzero().flatten()
    sample = data.acts[rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:200_000]]].float()
    mean = sample.mean(0)
    scale = ((sample - mean).square().sum(1).mean() / sample.shape[1]).sqrt().item()
    sae = train(data.acts, rows, scale, mean, k=k, epochs=epochs, seed=seed)
    training = {"tokens": len(rows), "epochs": epochs, "k": k, "seed": seed}
    save(out, sae, scale, mean, training)
    report = measure(out, data, held_out.nonzero().flatten())
    (out / "measured.json").write_text(json.dumps({"training": training, **report}, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    typer.run(main)
