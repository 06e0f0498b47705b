"""Every published layout, built small and random, with what its makers' formula gives, written out plainly.

A builder takes a folder that is not there yet and returns activations ``[9, D_SAE]`` of ``X`` and the function that
decodes them; some also return the path to load, where it is not that folder, and the hook point that its files name.
"""

import json

import numpy as np
import torch
from safetensors.torch import save_file

D_IN, D_SAE, K = 6, 20, 3


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


W_ENC, W_DEC = draw(D_IN, D_SAE), draw(D_SAE, D_IN, seed=1)
B_ENC, B_DEC = draw(D_SAE, seed=2), draw(D_IN, seed=3)
THRESHOLD, R_MAG, B_MAG = draw(D_SAE, seed=4).abs(), draw(D_SAE, seed=5), draw(D_SAE, seed=6)
X = draw(9, D_IN, seed=7) * 2 + 0.5
CANONICAL = {"W_enc": W_ENC, "W_dec": W_DEC, "b_enc": B_ENC, "b_dec": B_DEC}


def topk(pre, k=K):
    kept = torch.zeros_like(pre)
    for row, values in enumerate(pre):
        for index in values.argsort(descending=True)[:k]:
            kept[row, index] = max(values[index], 0)
    return kept


def jump(pre, threshold=THRESHOLD):
    return torch.where((pre > threshold) & (pre > 0), pre, torch.zeros(()))


def gated(x):
    raw = x @ W_ENC
    return ((raw + B_ENC) > 0).float() * torch.relu(torch.exp(R_MAG) * raw + B_MAG)


def config(folder, name="cfg.json", **values):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(values))


def tensors(path, **values):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in values.items()}, path)


def saelens(folder, drop=(), more=None, **values):
    config(folder, d_in=D_IN, d_sae=D_SAE, **values)
    found = CANONICAL | (more or {})
    tensors(folder / "sae_weights.safetensors", **{name: value for name, value in found.items() if name not in drop})


def decoded(acts):
    return acts @ W_DEC + B_DEC


def saelens_old(folder):
    saelens(folder, hook_point="blocks.3.hook_resid_pre", activation_fn_str="topk", activation_fn_kwargs={"k": K},
            normalize_activations="none")
    return topk((X - B_DEC) @ W_ENC + B_ENC), decoded


def saelens_old_scaled(folder):
    scaling = THRESHOLD + 0.5
    saelens(folder, more={"scaling_factor": scaling}, hook_point="blocks.3.hook_resid_pre", dtype="float32",
            finetuning_scaling_factor=True)
    return torch.relu((X - B_DEC) @ W_ENC + B_ENC), lambda acts: (acts * scaling) @ W_DEC + B_DEC


def saelens_gated(folder):
    saelens(folder, drop=("b_enc",), more={"b_gate": B_ENC, "r_mag": R_MAG, "b_mag": B_MAG}, architecture="gated",
            apply_b_dec_to_input=False)
    return gated(X), decoded


def saelens_batchtopk(folder):
    saelens(folder, more={"topk_threshold": torch.tensor(0.7)}, architecture="batchtopk", k=K)
    return jump((X - B_DEC) @ W_ENC + B_ENC, torch.tensor(0.7)), decoded


def saelens_rescaled(folder):
    saelens(folder, architecture="topk", k=K, rescale_acts_by_decoder_norm=True)
    norm = W_DEC.norm(dim=1)
    return topk(((X - B_DEC) @ W_ENC + B_ENC) * norm), lambda acts: (acts / norm) @ W_DEC + B_DEC


def saelens_layer_norm(folder):
    saelens(folder, architecture="standard", normalize_activations="layer_norm")
    mean, std = X.mean(1, keepdim=True), X.std(1, keepdim=True)
    return (torch.relu(((X - mean) / (std + 1e-5) - B_DEC) @ W_ENC + B_ENC), lambda acts: decoded(acts) * std + mean)


def saelens_constant_norm(folder):
    saelens(folder, architecture="standard", normalize_activations="constant_norm_rescale")
    scale = D_IN**0.5 / X.norm(dim=1, keepdim=True)
    return torch.relu((X * scale - B_DEC) @ W_ENC + B_ENC), lambda acts: decoded(acts) / scale


def gemma_scope(folder):
    folder = folder / "layer_12" / "width_16k" / "average_l0_9"
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **{name: value.numpy() for name, value in (
        CANONICAL | {"threshold": THRESHOLD}).items()})
    return jump(X @ W_ENC + B_ENC), decoded, folder, "layers.12"


def gemma_scope_2(folder):
    config(folder, "config.json", architecture="jump_relu", model_name="google/gemma-3-1b-pt",
           hf_hook_point_in="model.layers.7.output")
    tensors(folder / "params.safetensors", w_enc=W_ENC, w_dec=W_DEC, b_enc=B_ENC, b_dec=B_DEC, threshold=THRESHOLD)
    return jump(X @ W_ENC + B_ENC), decoded, folder, "layers.7"


def llama_scope(folder, function="jumprelu", **values):
    """Trained on scaled inputs and outputs; the authors' inference gives activations times norm over output scale."""
    norms = values.get("dataset_average_activation_norm") or {"in": 5.0, "out": 8.0}
    config(folder, "hyperparams.json", **{
        "d_model": D_IN, "act_fn": function, "jump_relu_threshold": 0.4, "norm_activation": "dataset-wise", "top_k": K,
        "sparsity_include_decoder_norm": True, "apply_decoder_bias_to_pre_encoder": False, "use_decoder_bias": True,
        "hook_point_in": "blocks.5.hook_resid_post",
        "dataset_average_activation_norm": norms} | values)
    tensors(folder / "checkpoints" / "final.safetensors", **{
        "encoder.weight": W_ENC.T, "encoder.bias": B_ENC, "decoder.weight": W_DEC.T, "decoder.bias": B_DEC})
    into, out, norm = D_IN**0.5 / norms["in"], D_IN**0.5 / norms["out"], W_DEC.norm(dim=1)
    seen = ((X * into) @ W_ENC + B_ENC) * norm / out
    acts = topk(seen) if values.get("jump_relu_threshold") == 0 else jump(seen, torch.tensor(0.4))
    return acts, lambda found: decoded(found / norm * out) / out, folder, "blocks.5.hook_resid_post"


def llama_scope_converted(folder):
    return llama_scope(folder, "topk")


def llama_scope_topk(folder):
    return llama_scope(folder, "topk", jump_relu_threshold=0)


def llama_scope_plain_norms(folder):
    """Decoder norms are left out of the gate, and activations stay those of training, over the input's scale."""
    llama_scope(folder, sparsity_include_decoder_norm=False)
    into, out = D_IN**0.5 / 5.0, D_IN**0.5 / 8.0
    acts = jump(((X * into) @ W_ENC + B_ENC) / into, torch.tensor(0.4))
    return acts, lambda found: decoded(found * into) / out


def llama_scope_token_wise(folder):
    llama_scope(folder, norm_activation="token-wise")
    scale, norm = D_IN**0.5 / X.norm(dim=1, keepdim=True), W_DEC.norm(dim=1)
    acts = jump(((X * scale) @ W_ENC + B_ENC) * norm, torch.tensor(0.4))
    return acts, lambda found: decoded(found / norm) / scale


def dictionary(folder, name, state, **trainer):
    config(folder, "config.json", trainer={"dict_class": name, "layer": 4} | trainer)
    torch.save(state, folder / "ae.pt")


LINEAR = {"encoder.weight": W_ENC.T, "encoder.bias": B_ENC, "decoder.weight": W_DEC.T}


def dictionary_standard(folder):
    """The library's loader gives it decoder rows of norm 1."""
    dictionary(folder, "AutoEncoder", LINEAR | {"bias": B_DEC}, submodule_name="mlp_out_layer_4")
    norm = W_DEC.norm(dim=1)
    acts = torch.relu((X - B_DEC) @ W_ENC + B_ENC) * norm
    return acts, lambda found: decoded(found / norm), folder, "mlp_out_layer_4"


def dictionary_new(folder):
    dictionary(folder, "AutoEncoderNew", LINEAR | {"decoder.bias": B_DEC})
    return torch.relu(X @ W_ENC + B_ENC), decoded, folder, "layers.4"


def dictionary_topk(folder):
    dictionary(folder, "AutoEncoderTopK", LINEAR | {
        "b_dec": B_DEC, "k": torch.tensor(K), "threshold": torch.tensor(-1.0)}, k=K)
    return topk((X - B_DEC) @ W_ENC + B_ENC), decoded, folder, "layers.4"


def dictionary_batch_topk(folder):
    state = LINEAR | {"b_dec": B_DEC, "k": torch.tensor(K), "threshold": torch.tensor(0.6)}
    dictionary(folder, "BatchTopKSAE", state, k=K)
    return jump((X - B_DEC) @ W_ENC + B_ENC, torch.tensor(0.6)), decoded, folder, "layers.4"


def dictionary_matryoshka(folder):
    dictionary(folder, "MatryoshkaBatchTopKSAE", CANONICAL | {
        "k": torch.tensor(K), "threshold": torch.tensor(0.6), "group_sizes": torch.tensor([8, D_SAE - 8])}, k=K)
    return jump((X - B_DEC) @ W_ENC + B_ENC, torch.tensor(0.6)), decoded, folder, "layers.4"


def dictionary_gated(folder):
    dictionary(folder, "GatedAutoEncoder", {
        "encoder.weight": W_ENC.T, "decoder.weight": W_DEC.T, "gate_bias": B_ENC, "mag_bias": B_MAG, "r_mag": R_MAG,
        "decoder_bias": B_DEC})
    return gated(X - B_DEC), decoded, folder, "layers.4"


def dictionary_jumprelu(folder):
    dictionary(folder, "JumpReluAutoEncoder", CANONICAL | {"threshold": THRESHOLD})
    return jump(X @ W_ENC + B_ENC), decoded, folder, "layers.4"


def sparsify(folder, transcode=False):
    folder = folder / "layers.10.mlp"
    config(folder, d_in=D_IN, num_latents=D_SAE, k=K, activation="topk", transcode=transcode)
    tensors(folder / "sae.safetensors", **{
        "encoder.weight": W_ENC.T, "encoder.bias": B_ENC, "W_dec": W_DEC, "b_dec": B_DEC})
    hook_point = "base_model.layers.10.mlp.input" if transcode else "base_model.layers.10.mlp"
    return topk((X if transcode else X - B_DEC) @ W_ENC + B_ENC), decoded, folder, hook_point


def sparsify_transcoder(folder):
    return sparsify(folder, transcode=True)


def goodfire(folder):
    folder.mkdir(parents=True)
    torch.save({"encoder_linear.weight": W_ENC.T, "encoder_linear.bias": B_ENC, "decoder_linear.weight": W_DEC.T,
                "decoder_linear.bias": B_DEC}, folder / "Llama-3.1-8B-Instruct-SAE-l19.pth")
    return torch.relu(X @ W_ENC + B_ENC), decoded, folder, "layers.19"


def goodfire_file(folder):
    acts, decode, _folder, hook_point = goodfire(folder)
    torch.save({"W_enc": W_ENC}, folder / "Llama-3.1-8B-Instruct-l3.pth")
    return acts, decode, folder / "Llama-3.1-8B-Instruct-SAE-l19.pth", hook_point


def qwen_scope(folder):
    folder = folder / "SAE-Res-Qwen3-1.7B-Base-W32K-L0_3"
    folder.mkdir(parents=True)
    torch.save({"W_enc": W_ENC.T, "W_dec": W_DEC.T, "b_enc": B_ENC, "b_dec": B_DEC}, folder / "layer6.sae.pt")
    return topk(X @ W_ENC + B_ENC), decoded, folder, "layers.6"


def plain(folder):
    tensors(folder / "sae.safetensors", **CANONICAL)
    return torch.relu((X - B_DEC) @ W_ENC + B_ENC), decoded


def plain_file(folder):
    tensors(folder / "other.safetensors", W_enc=W_ENC)
    acts, decode = plain(folder)
    return acts, decode, folder / "sae.safetensors", None


def sparsify_file(folder):
    acts, decode, folder, hook_point = sparsify(folder)
    return acts, decode, folder / "sae.safetensors", hook_point


LAYOUTS = [saelens_old, saelens_old_scaled, saelens_gated, saelens_batchtopk, saelens_rescaled, saelens_layer_norm,
           saelens_constant_norm, gemma_scope, gemma_scope_2, llama_scope, llama_scope_converted, llama_scope_topk,
           llama_scope_plain_norms, llama_scope_token_wise, dictionary_standard, dictionary_new, dictionary_topk,
           dictionary_batch_topk, dictionary_matryoshka, dictionary_gated, dictionary_jumprelu, sparsify,
           sparsify_transcoder, goodfire, goodfire_file, qwen_scope, plain, plain_file, sparsify_file]
