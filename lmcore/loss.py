"""Cross-entropy of the next token, in one place for every model, in nats.

The (N, V) logits of a batch are the largest thing in memory, and on a CPU most of the time goes into
moving them. So the loss takes the hidden outputs instead and works through them a few rows at a time.

Left out: `torch.nn.functional.linear_cross_entropy` (torch 2.13). It does the same, but was slower in
every one of our measurements on a CPU (`python -m benchmarks step`); on a GPU it is not measured yet.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.errors import InputError

CPU_CHUNK_BYTES = 16 * 2**20  # half a last-level cache: the logits are read while they are still there
GPU_CHUNK_BYTES = 2**30  # few launches, and little beside the memory of a card
ALIGNMENT = 64  # columns; rows that start on a cache line make the matrix products up to 1.5 times faster


def rows_at_once(device_type: str, vocab_size: int, width: int) -> int:
    """How many rows of float32 logits the loss holds at a time.

    As many as fit into 16 MiB on a CPU (1 GiB elsewhere), but at least twice the width, up to 512: each
    chunk also reads and writes the whole (V, D) gradient once, which should not be the larger part.
    """
    budget = CPU_CHUNK_BYTES if device_type == "cpu" else GPU_CHUNK_BYTES
    return max(budget // (4 * vocab_size), min(2 * width, 512))


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(h W^T + b)[target] over rows, with its gradients found on the way.

    With p = softmax(logits) the gradient of one row's loss by its logits is p - onehot(target), so
    that each chunk of logits can be turned into gradients at once and then be thrown away. Sums are
    kept in float32 (float64 for float64), whatever the matrix products run in.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, rows, wants_grads):
        ctx.dtypes = [tensor.dtype for tensor in (hidden, weight, bias)]
        product_dtype, sum_dtype = _dtypes(hidden)
        hidden, weight = hidden.to(product_dtype), weight.to(product_dtype)
        with torch.autocast(hidden.device.type, enabled=False):
            nats, grads = _all_chunks(hidden, weight, bias.to(sum_dtype), targets, rows, wants_grads)
        ctx.save_for_backward(*grads)
        return nats

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_nats):
        pairs = zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        return *((grad_nats * grad).to(dtype) for grad, dtype in pairs), None, None, None


def _dtypes(hidden: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """What the matrix products run in (autocast's choice, if it is on) and what sums are kept in."""
    kind = hidden.device.type
    product = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    return product, torch.promote_types(product, torch.float32)


def _all_chunks(hidden, weight, bias, targets, rows, wants_grads):
    """Nats, and the gradients of hidden, weight and bias (none unless wanted)."""
    (N, D), V = hidden.shape, len(weight)
    padded = -(-V // ALIGNMENT) * ALIGNMENT
    # columns behind V get a bias of minus infinity, so that softmax makes them 0
    bias = F.pad(bias, (0, padded - V), value=-torch.inf)
    buffer = bias.new_zeros(min(rows, N), padded)
    grads = (bias.new_empty(N, D), bias.new_zeros(V, D), bias.new_zeros(padded)) if wants_grads else ()
    nats = bias.new_zeros(())
    for start in range(0, N, rows):
        part = slice(start, start + rows)
        chunk = buffer[: len(targets[part])]
        nats += _chunk(chunk, hidden[part], weight, bias, targets[part], part, grads)
    return nats, (*grads[:2], grads[2][:V]) if wants_grads else ()


def _chunk(chunk, hidden, weight, bias, targets, part, grads):
    """Nats of a few rows; adds their gradients into ``grads`` unless that is empty."""
    logits = chunk[:, : len(weight)]  # (rows, V), inside a buffer whose rows are aligned
    _matmul_into(logits, hidden, weight.t())
    chunk += bias
    index = targets[:, None]
    target_logits = logits.gather(1, index)
    if not grads:
        return (chunk.logsumexp(dim=1, keepdim=True) - target_logits).sum()
    largest = chunk.amax(dim=1, keepdim=True)
    torch.softmax(chunk, dim=1, out=chunk)
    # the largest probability is exp(0) / total, so the sum of exponentials need not be kept
    nats = (largest - chunk.amax(dim=1, keepdim=True).log() - target_logits).sum()
    logits.scatter_add_(1, index, torch.full_like(target_logits, -1.0))  # p - onehot
    grad_hidden, grad_weight, grad_bias = grads
    grad_bias += chunk.sum(dim=0)
    error = logits.to(weight.dtype)
    _matmul_into(grad_hidden[part], error, weight)
    if error.dtype == grad_weight.dtype:
        grad_weight.addmm_(error.t(), hidden)
    else:
        grad_weight += error.t() @ hidden
    chunk[:, len(weight) :] = 0  # softmax left zeros here; a row of NaN would not
    return nats


def _matmul_into(out: Tensor, left: Tensor, right: Tensor) -> None:
    if out.dtype == left.dtype:
        torch.mm(left, right, out=out)
    else:
        out.copy_(left @ right)


def cross_entropy_nats(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, " V"],
    targets: Int[Tensor, " N"],
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Total nats of N targets under softmax(hidden weight^T + bias); sum, not mean.

    Never holds more than `rows_at_once` rows of logits. With ``label_smoothing`` e in [0, 1) the target
    is 1 - e at the token and e / V at every token (Szegedy et al. 2016). Differentiable once. Raises
    InputError for an e outside its range.
    """
    if not 0 <= label_smoothing < 1:
        raise InputError(f"label_smoothing is {label_smoothing}; it must be in [0, 1)")
    rows = rows_at_once(hidden.device.type, len(weight), hidden.shape[1])
    # inside a Function gradients always look wanted, so the caller's mode is passed in
    nats = _ChunkedCrossEntropy.apply(hidden, weight, bias, targets, rows, torch.is_grad_enabled())
    if label_smoothing:
        nats = nats + label_smoothing * _target_above_mean(hidden, weight, bias, targets)
    return nats


def _target_above_mean(hidden, weight, bias, targets):
    """Sum over rows of (target's logit - mean logit); smoothing adds e times this.

    sum_j q_j (lse - z_j) with q = (1 - e) onehot + e / V is lse - z_t + e (z_t - mean z): no new logits.
    """
    direction = weight[targets] - weight.mean(dim=0)  # (N, D)
    return (hidden * direction).sum() + (bias[targets] - bias.mean()).sum()


def next_token_nats(
    model: nn.Module,
    inputs: Int[Tensor, "B T"],
    targets: Int[Tensor, "B T"],
    pad_id: int,
    state=None,
    num_targets: int | None = None,
):
    """Total nats over the targets that are not padding, their number, and the new state.

    Padding rows leave before the matrix product, so that they cost nothing and weigh nothing. Give
    ``num_targets`` (from ``Batch.lengths``) where it is known: a GPU then need not be asked for it. A
    counting model scores the targets itself (``target_nats``) or, failing that, through its logits; its nats
    are added up in float64.
    """
    real = (targets != pad_id).flatten()  # (B * T,)
    count = int(real.sum()) if num_targets is None else num_targets
    rows = None if count == len(real) else real.nonzero_static(size=count).squeeze(1)

    def kept(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)  # (B * T, ...)
        return flat if rows is None else flat[rows]

    if hasattr(model, "target_nats"):
        each, state = model.target_nats(inputs, targets, state)  # (B, T)
        return _total(kept(each)), count, state
    if hasattr(model, "hidden"):
        hidden, state = model.hidden(inputs, state)  # (B, T, D)
        return model.nats(kept(hidden), kept(targets)), count, state
    logits, state = model(inputs, state)  # (B, T, V)
    return _total(F.cross_entropy(kept(logits), kept(targets), reduction="none")), count, state


def _total(nats: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """In float64 where the device has it, so that no cut of a text shows in the sum."""
    return nats.sum(dtype=nats.dtype if nats.device.type == "mps" else torch.float64)
