"""The one SAE class. Readers of file formats bring their tensors into its canonical form."""

from dataclasses import dataclass

import torch
from torch import Tensor

ARCHITECTURES = ("standard", "topk", "jumprelu")


@dataclass
class SAE:
    """An SAE ready to run. ``acts = f((x - b_dec) @ W_enc + b_enc)``; ``x_hat = acts @ W_dec + b_dec``.

    W_enc ``[d_in, d_sae]``; W_dec ``[d_sae, d_in]``; b_enc ``[d_sae]``; b_dec ``[d_in]``; threshold ``[d_sae]`` for
    jumprelu; k for topk. ``subtract_b_dec`` says whether b_dec is taken from the input.
    ``hook_point``, ``context_length`` and ``prepend_bos`` are what the files say of how it was trained (None: nothing);
    ``center`` whether on activations without their mean over ``d_in``.
    """

    architecture: str
    W_enc: Tensor
    W_dec: Tensor
    b_enc: Tensor
    b_dec: Tensor
    threshold: Tensor | None = None
    k: int | None = None
    subtract_b_dec: bool = True
    name: str = ""
    hash: str = ""
    hook_point: str | None = None
    context_length: int | None = None
    prepend_bos: bool = True
    center: bool = False

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        return self.W_enc.shape[1]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "SAE":
        """The same SAE on another device or in another dtype. Thresholds and biases follow."""
        moved = {name: value.to(device=device, dtype=dtype) for name, value in vars(self).items()
                 if isinstance(value, Tensor)}
        return SAE(**{**vars(self), **moved})

    def encode(self, x: Tensor) -> Tensor:
        """Activations ``[..., d_sae]``, never negative, of inputs ``[..., d_in]``; in the SAE's dtype."""
        x = x.to(self.W_enc.dtype)
        pre = torch.addmm(self._input_bias(), x.reshape(-1, self.d_in), self.W_enc)
        if self.architecture == "jumprelu":
            acts = torch.where(pre > self.threshold, pre, 0).relu_()
        elif self.architecture == "topk":
            value, index = torch.topk(pre, self.k, dim=-1, sorted=False)
            acts = torch.zeros_like(pre).scatter_(-1, index, value.relu_())
        else:
            acts = pre.relu_()
        return acts.reshape(*x.shape[:-1], self.d_sae)

    def _input_bias(self) -> Tensor:
        """b_enc with the subtraction of b_dec folded in, so that the input is read once."""
        return self.b_enc - self.b_dec @ self.W_enc if self.subtract_b_dec else self.b_enc

    def decode(self, acts: Tensor) -> Tensor:
        """Reconstruction ``[..., d_in]`` of activations ``[..., d_sae]``."""
        return acts.to(self.W_dec.dtype) @ self.W_dec + self.b_dec
