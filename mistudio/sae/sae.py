"""The one SAE class. Readers of file formats bring their tensors into its canonical form."""

from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

NORM_EPS = 1e-5


@dataclass
class SAE:
    """An SAE ready to run. ``acts = f((x - b_dec) @ W_enc + b_enc)``; ``x_hat = acts @ W_dec + b_dec``.

    W_enc ``[d_in, d_sae]``; W_dec ``[d_sae, d_in]``; b_enc ``[d_sae]``; b_dec ``[d_in]``. ``architecture`` says what f
    is: ``standard`` (ReLU), ``topk`` (the k largest of a token, positive ones only), ``jumprelu`` (what exceeds
    ``threshold`` ``[d_sae]``, and is positive) or ``gated`` (Rajamanoharan et al. 2024: active where
    ``pre + b_gate > 0``, as strong as ``ReLU(exp(r_mag) * pre + b_mag)``, with ``b_gate`` kept in b_enc).
    ``subtract_b_dec`` says whether b_dec is taken from the input. ``normalize`` says what is done to a token's input
    first: ``none``, ``layer_norm`` (no mean, unit variance) or ``constant_norm_rescale`` (norm sqrt(d_in)).
    ``hook_point``, ``context_length``, ``prepend_bos``, ``center`` and ``fold_value_biases`` are what the files say of
    how it was trained. ``offset`` ``[d_sae]`` is made from the others, once: see ``__post_init__``.
    """

    architecture: str
    W_enc: Tensor
    W_dec: Tensor
    b_enc: Tensor
    b_dec: Tensor
    threshold: Tensor | None = None
    k: int | None = None
    r_mag: Tensor | None = None
    b_mag: Tensor | None = None
    subtract_b_dec: bool = True
    normalize: str = "none"
    name: str = ""
    hash: str = ""
    hook_point: str | None = None
    context_length: int | None = None
    prepend_bos: bool = True
    center: bool = False
    fold_value_biases: bool = False
    offset: Tensor = field(init=False, repr=False)

    def __post_init__(self):
        """``offset`` is what ``x @ W_enc`` lacks: b_enc, less ``b_dec @ W_enc`` where b_dec is taken from the input.

        Without b_enc for a gated SAE, where its two paths share the product and add biases of their own.
        """
        shift = self.b_dec @ self.W_enc if self.subtract_b_dec else torch.zeros_like(self.b_enc)
        self.offset = -shift if self.architecture == "gated" else self.b_enc - shift

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        return self.W_enc.shape[1]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "SAE":
        """The same SAE on another device or in another dtype. Thresholds and biases follow."""
        given = (each.name for each in fields(self) if each.init)
        return replace(self, **{name: getattr(self, name).to(device=device, dtype=dtype) for name in given
                                if isinstance(getattr(self, name), Tensor)})

    def part(self, first: int, last: int) -> "SAE":
        """The SAE of features ``first`` to ``last`` (left out) alone. Of a TopK SAE it needs ``encode``'s cutoff."""
        rows = {name: getattr(self, name) for name in ("W_dec", "b_enc", "threshold", "r_mag", "b_mag")}
        return replace(self, W_enc=self.W_enc[:, first:last], **{
            name: value[first:last] for name, value in rows.items() if value is not None})

    def encode(self, x: Tensor, cutoff: Tensor | None = None) -> Tensor:
        """Activations ``[..., d_sae]``, never negative, of inputs ``[..., d_in]``; in the SAE's dtype.

        Args:
            cutoff: for a part of a TopK SAE, the whole one's ``cutoff(x)`` ``[..., 1]``.
        """
        pre = self._pre(x)
        if self.architecture == "gated":
            return (self.r_mag.exp() * pre + self.b_mag).relu_() * (pre + self.b_enc > 0)
        if self.architecture == "jumprelu":
            return torch.where(pre > self.threshold, pre, 0).relu_()
        if self.architecture == "topk" and cutoff is not None:
            return torch.where(pre > cutoff, pre, 0).relu_()
        if self.architecture == "topk":
            value, index = torch.topk(pre, self.k, dim=-1, sorted=False)
            return torch.zeros_like(pre).scatter_(-1, index, value.relu_())
        return pre.relu_()

    def cutoff(self, x: Tensor, block: int = 16_384) -> Tensor:
        """What parts a TopK SAE's k largest pre-activations of a token from the others, ``[..., 1]``.

        It lies halfway between the last of them and the next one, so that a part whose numbers differ by rounding
        takes the same features. ``block`` features are worked on at a time.
        """
        best = None
        for first in range(0, self.d_sae, block):
            pre = self._pre(x, slice(first, first + block))
            best = pre if best is None else torch.cat([best, pre], dim=-1)
            best = torch.topk(best, min(self.k + 1, best.shape[-1]), dim=-1).values
        last, following = best[..., self.k - 1:self.k], best[..., self.k:]
        return (last + following) / 2 if following.shape[-1] else torch.full_like(last, -torch.inf)

    def _pre(self, x: Tensor, features: slice = slice(None)) -> Tensor:
        """Pre-activations ``[..., n]`` of some features; those of a gated SAE are without its gate's bias."""
        x = x.to(self.W_enc.dtype)
        if self.normalize != "none":
            shift, scale = self._normalization(x)
            x = (x - shift) / (scale + (NORM_EPS if self.normalize == "layer_norm" else 0))
        found = torch.addmm(self.offset[features], x.reshape(-1, self.d_in), self.W_enc[:, features])
        return found.reshape(*x.shape[:-1], -1)

    def _normalization(self, x: Tensor) -> tuple[Tensor | float, Tensor]:
        """What is taken from each token's input, and what it is then divided by: ``[..., 1]`` each.

        By ``layer_norm`` the divisor grows by NORM_EPS, which decoding does not undo: so SAELens has it.
        """
        if self.normalize == "layer_norm":
            centred = x - x.mean(-1, keepdim=True)
            return x.mean(-1, keepdim=True), centred.std(-1, keepdim=True)
        return 0.0, x.norm(dim=-1, keepdim=True) / self.d_in**0.5

    def decode(self, acts: Tensor, x: Tensor | None = None) -> Tensor:
        """Reconstruction ``[..., d_in]`` of activations ``[..., d_sae]``.

        Args:
            x: the input ``[..., d_in]`` that was encoded; needed where the input is normalised, to undo that.
        """
        found = acts.to(self.W_dec.dtype) @ self.W_dec + self.b_dec
        if self.normalize == "none":
            return found
        shift, scale = self._normalization(x.to(self.W_enc.dtype))
        return found * scale + shift
