"""Cross-entropy of the next token, in one place for every model, in nats.

On a CPU the (N, V) logits of a batch are the largest thing in memory and most of the time goes into
moving them, so the loss takes the hidden outputs instead and works through them a few rows at a time.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

ROWS_AT_ONCE = 128  # 128 x 8,192 float32 logits are 4 MiB: they stay in the processor's cache


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(h W^T + b)[target] over rows, with its gradients found on the way.

    With p = softmax(logits) the gradient of one row's loss by its logits is p - onehot(target), so
    that each chunk of logits can be turned into gradients at once and then be thrown away.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, wants_grads):
        grads = tuple(torch.zeros_like(t) for t in (hidden, weight, bias)) if wants_grads else ()
        nats = hidden.new_zeros(())
        for start in range(0, len(targets), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            nats += _chunk(hidden[rows], weight, bias, targets[rows], rows, grads)
        ctx.save_for_backward(*grads)
        return nats

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_nats):
        return *(grad_nats * grad for grad in ctx.saved_tensors), None, None


def _chunk(hidden, weight, bias, targets, rows, grads):
    """Nats of a few rows; adds their gradients into ``grads`` unless that is empty."""
    logits = torch.addmm(bias, hidden, weight.t())  # (rows, V)
    logits -= logits.amax(dim=1, keepdim=True)
    index = targets[:, None]
    target_logits = logits.gather(1, index)
    exp = logits.exp_()
    total = exp.sum(dim=1, keepdim=True)  # (rows, 1)
    nats = (total.log() - target_logits).sum()
    if grads:
        grad_hidden, grad_weight, grad_bias = grads
        exp.scatter_add_(1, index, -total)  # (p - onehot) * total: dividing (rows, D) is cheaper
        grad_hidden[rows] = (exp @ weight) / total
        grad_weight.addmm_(exp.t(), hidden / total)
        grad_bias += (exp.t() @ (1 / total)).squeeze(1)
    return nats


def cross_entropy_nats(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, " V"],
    targets: Int[Tensor, " N"],
) -> Float[Tensor, ""]:
    """Total nats of N targets under softmax(hidden weight^T + bias); sum, not mean.

    On a CPU in chunks of 128 rows; on other devices with whole logits, where mixed precision and
    the device's own kernels do better.
    """
    if hidden.device.type == "cpu":
        # inside a Function gradients always look wanted, so the caller's mode is passed in
        return _ChunkedCrossEntropy.apply(hidden, weight, bias, targets, torch.is_grad_enabled())
    return F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum")


def next_token_nats(
    model: nn.Module, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"], pad_id: int, state=None
):
    """Total nats over the targets that are not padding, their number, and the new state.

    Padding rows leave before the matrix product, so that they cost nothing and weigh nothing.
    A model without ``hidden`` (one made of counts) is scored from its logits.
    """
    keep = targets != pad_id  # (B, T)
    kept = targets[keep]
    if hasattr(model, "hidden"):
        hidden, state = model.hidden(inputs, state)
        nats = cross_entropy_nats(hidden[keep], model.output.weight, model.output.bias, kept)
    else:
        logits, state = model(inputs, state)
        nats = F.cross_entropy(logits[keep], kept, reduction="sum")
    return nats, kept.numel(), state
