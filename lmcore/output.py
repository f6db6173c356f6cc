"""Output layers: hidden outputs to logits over the vocabulary, and to the loss of the right tokens.

Each has `forward` (..., D) -> (..., V) for generation and `nats` for training and scoring; `nats` may
work without ever making all V logits. The two cheap ones ask a GPU for sizes at every step, so that a step
with them cannot become a CUDA graph. Left out: label smoothing for these two.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.loss import cross_entropy_nats


class SoftmaxOutput(nn.Linear):
    """One logit per token, h W^T + b: exact, and as expensive as the vocabulary is large.

    ``label_smoothing`` acts in training mode only, so that an evaluation stays a likelihood.
    """

    label_smoothing = 0.0

    def start(self) -> None:
        """Xavier-uniform matrix, zero bias: close to every token being equally likely."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    @torch.no_grad()
    def start_from_frequencies(self, log_probs: Float[Tensor, " V"]) -> None:
        """Set the bias to log-frequencies, so that the first step knows the unigram model."""
        self.bias.copy_(log_probs)

    def nats(self, hidden: Float[Tensor, "N D"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
        """Total nats of N targets (a sum)."""
        smoothing = self.label_smoothing if self.training else 0.0
        return cross_entropy_nats(hidden, self.weight, self.bias, targets, smoothing)

    @contextmanager
    def by_columns(self) -> Iterator[None]:
        """The matrix lies in memory column by column for as long; shape and numbers stay.

        For generation, where one row at a time meets the matrix: BLAS then multiplies about four times as
        fast (measured on two cores of an AMD EPYC). The copy costs as much as five such products.
        """
        rows = self.weight.data
        self.weight.data = rows.t().contiguous().t()
        try:
            yield
        finally:
            self.weight.data = rows


class AdaptiveOutput(nn.Module):
    """Frequent tokens at full width, rare ones in clusters of narrower layers (Grave et al. 2017).

    The head chooses among the V // 16 most frequent tokens and two clusters; the first cluster goes up
    to rank V // 4 at width D / 4, the second to the end at D / 16. (With fewer than 16 tokens: one
    cluster.) Only clusters that hold a target are computed. ``rank`` (V,) is the place of each token
    id by frequency; without `start_from_frequencies` it is the id itself. Raises InputError for
    D < 16 or V < 4.
    """

    def __init__(self, emb_dim: int, vocab_size: int):
        super().__init__()
        if emb_dim < 16:
            raise InputError(f"emb_dim is {emb_dim}; an adaptive output needs at least 16")
        if vocab_size < 4:
            raise InputError(f"vocab_size is {vocab_size}; an adaptive output needs at least 4")
        self.cutoffs = [cut for cut in (vocab_size // 16, vocab_size // 4) if cut]
        self.layers = nn.AdaptiveLogSoftmaxWithLoss(emb_dim, vocab_size, self.cutoffs, head_bias=True)
        self.register_buffer("rank", torch.arange(vocab_size))

    def start(self) -> None:
        """Xavier-uniform matrices, and a head bias under which every token is equally likely."""
        for matrix in (p for p in self.parameters() if p.ndim > 1):
            nn.init.xavier_uniform_(matrix)
        vocab_size = len(self.rank)
        self.start_from_frequencies(self.layers.head.bias.new_full((vocab_size,), -math.log(vocab_size)))

    @torch.no_grad()
    def start_from_frequencies(self, log_probs: Float[Tensor, " V"]) -> None:
        """Sort the tokens by frequency and set the head's bias to log-frequencies; before training.

        A cluster's logit is the logarithm of its whole share; inside, its tokens start out alike.
        """
        ordered, order = log_probs.sort(descending=True, stable=True)
        self.rank[order] = torch.arange(len(order), device=order.device)
        clusters = ordered.tensor_split(self.cutoffs)[1:]
        head = [ordered[: self.cutoffs[0]], *(cluster.logsumexp(0, keepdim=True) for cluster in clusters)]
        self.layers.head.bias.copy_(torch.cat(head))

    def forward(self, hidden: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows V"]:
        """Log-probabilities; the columns are token ids."""
        with self._full_precision(hidden):
            flat = hidden.reshape(-1, hidden.shape[-1]).to(self.layers.head.weight.dtype)
            log_probs = self.layers.log_prob(flat)  # (N, V) by rank
        return log_probs[:, self.rank].reshape(*hidden.shape[:-1], -1)

    def nats(self, hidden: Float[Tensor, "N D"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
        """Total nats of N targets (a sum)."""
        # a cluster without a target gets gradients of zero: DistributedDataParallel waits for every one
        unused = sum(0 * parameter.sum() for parameter in self.layers.tail.parameters())
        with self._full_precision(hidden):
            hidden = hidden.to(self.layers.head.weight.dtype)
            return unused - self.layers(hidden, self.rank[targets]).output.sum()

    def _full_precision(self, hidden: Tensor) -> torch.autocast:
        """Autocast off: torch's layer fails under it, and its matrix products are small."""
        return torch.autocast(hidden.device.type, enabled=False)


class SampledOutput(SoftmaxOutput):
    """In training, the target against a random sample of the vocabulary; in evaluation, exact.

    One sample serves the whole batch. Each token enters it by a coin toss of its own with probability
    ``expected`` (V,), proportional to frequency^alpha and at most 1, ``negatives`` tokens on average.
    Sources: Bengio and Senecal (2003), Jean et al. (2015). The loss in training is one among fewer
    candidates: smaller than the exact loss, and not to be compared with it.
    """

    def __init__(self, emb_dim: int, vocab_size: int, negatives: int = 1024, alpha: float = 0.75):
        super().__init__(emb_dim, vocab_size)
        if negatives < 1:
            raise InputError(f"negatives is {negatives}; it must be at least 1")
        self.negatives, self.alpha = min(negatives, vocab_size), alpha
        self.register_buffer("expected", torch.full((vocab_size,), self.negatives / vocab_size))

    @torch.no_grad()
    def start_from_frequencies(self, log_probs: Float[Tensor, " V"]) -> None:
        """Set the bias to log-frequencies, and draw frequent tokens more often from now on."""
        super().start_from_frequencies(log_probs)
        self.expected.copy_(inclusion(self.alpha * log_probs, self.negatives))

    def nats(self, hidden: Float[Tensor, "N D"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
        """Total nats of N targets (a sum): sampled in training mode, exact in evaluation mode."""
        if not self.training:
            return super().nats(hidden, targets)
        drawn = torch.rand_like(self.expected) < self.expected
        return sampled_nats(hidden, self.weight, self.bias, targets, drawn, self.expected)


def inclusion(log_weights: Float[Tensor, " V"], count: int) -> Float[Tensor, " V"]:
    """Probabilities proportional to exp(log_weights), none above 1, that sum to ``count`` <= V."""
    expected = count * log_weights.double().softmax(dim=0)
    while (expected > 1).any():
        expected.clamp_(max=1)
        open_ = expected < 1
        expected[open_] *= (count - (~open_).sum()) / expected[open_].sum()
    return expected.to(log_weights.dtype)


def sampled_nats(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, " V"],
    targets: Int[Tensor, " N"],
    drawn: Bool[Tensor, " V"],
    expected: Float[Tensor, " V"],
) -> Float[Tensor, ""]:
    """Total nats of picking each target out of itself and the tokens ``drawn``.

    By Bayes' rule the odds of two candidates are those of their softmax probabilities, each divided
    by the probability that chance would have drawn it: hence logit - log(expected). A target that was
    drawn as well counts once.
    """
    negatives = drawn.nonzero().squeeze(1)
    candidates, K = torch.cat([negatives, targets]), len(negatives)
    rows = F.embedding(candidates, weight)  # (K + N, D): one look-up, so one gradient of size (V, D)
    offset = bias[candidates] - expected[candidates].log()
    target_logits = (hidden * rows[K:]).sum(dim=1) + offset[K:]  # (N,)
    logits = torch.addmm(offset[:K], hidden, rows[:K].t())  # (N, K)
    logits = logits.masked_fill_(negatives == targets[:, None], -math.inf)
    return (torch.logaddexp(target_logits, logits.logsumexp(dim=1)) - target_logits).sum()


OUTPUTS = {"softmax": SoftmaxOutput, "adaptive": AdaptiveOutput, "sampled": SampledOutput}
