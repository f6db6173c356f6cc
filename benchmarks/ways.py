"""One training step of the reference setting, written in several ways that all do the same work."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lmcore
from benchmarks import setting
from benchmarks.measure import say
from benchmarks.reference import ReferenceLM, endless, reference_loss
from benchmarks.setting import Sizes
from lmcore import step
from lmcore.distributed import World

REFERENCE, RNN, CHUNKED, LMCORE = "reference way", "nn.RNN, whole logits", "torch's chunked loss", "lmcore"
WAYS = (REFERENCE, RNN, CHUNKED, LMCORE)

Step = Callable[[], tuple[float, int]]  # one step: its loss in nats per prediction, its predictions


class TorchRNN(nn.Module):
    """The reference model on `torch.nn.RNN`; its second bias is held at zero, for equal parameters."""

    def __init__(self, source: lmcore.RecurrentLM):
        super().__init__()
        self.embedding, self.output = source.embedding, source.output
        dim = source.config.emb_dim
        self.rnn = nn.RNN(dim, dim, source.config.num_layers, batch_first=True)
        with torch.no_grad():
            for i, layer in enumerate(source.layers):
                for name, value in (("weight_ih", layer.W.T), ("weight_hh", layer.U.T), ("bias_ih", layer.b)):
                    getattr(self.rnn, f"{name}_l{i}").copy_(value)
                getattr(self.rnn, f"bias_hh_l{i}").zero_().requires_grad_(False)

    def hidden(self, tokens: Tensor) -> Tensor:
        return self.rnn(self.embedding(tokens))[0]  # (B, T, D)


def sentence_batches(
    sizes: Sizes, tokenizer: lmcore.Tokenizer, sentences: Sequence[str]
) -> Iterator[lmcore.Batch]:
    """lmcore's batches without end; sentences are tokenised here, once."""
    ids = tokenizer.encode_documents(sentences)
    batches = lmcore.SentenceBatches(ids, sizes.batch_size, sizes.seq_len, tokenizer.pad_id)
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def plain_step(
    model: nn.Module, batches: Iterator[Any], loss_of: Callable[[Tensor, Tensor], Tensor], pad_id: int
) -> Step:
    """A step as torch gives it: AdamW with its defaults, no clipping."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)

    def one() -> tuple[float, int]:
        inputs, targets, *_ = next(batches)
        loss = loss_of(inputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item(), int((targets != pad_id).sum())

    return one


def lmcore_step(model: nn.Module, batches: Iterator[lmcore.Batch], pad_id: int) -> Step:
    """A step as `lmcore.Trainer` takes it, gradient clipping included."""
    config = lmcore.TrainConfig(max_steps=1, learning_rate=1e-3)
    take = step.Step(model, config, pad_id, torch.device("cpu"), World())

    def one() -> tuple[float, int]:
        result = take(next(batches), None, config.learning_rate)
        return result.loss.item(), result.num_targets

    return one


def start_model(sizes: Sizes, pad_id: int) -> lmcore.RecurrentLM:
    """The reference model with larger weights than it would start from in earnest.

    At its own start every logit is close to 0, and a wrong model would have the same loss, ln V.
    """
    model = setting.new_model(sizes, pad_id)
    with torch.no_grad():
        for matrix in (model.embedding.weight, model.output.weight):
            matrix *= 0.5 / matrix.std()
    return model


def make_step(way: str, sizes: Sizes, tokenizer: lmcore.Tokenizer, sentences: Sequence[str]) -> Step:
    """One of `WAYS`, with a model of its own that starts from the same weights as all others."""
    pad_id = tokenizer.pad_id
    model = start_model(sizes, pad_id)
    if way == REFERENCE:
        slow = ReferenceLM(sizes.vocab_size, sizes.emb_dim, sizes.num_layers, pad_id)
        slow.load_state_dict(model.state_dict())
        batches = endless(sentences, tokenizer, sizes.seq_len, sizes.batch_size)
        return plain_step(slow, batches, lambda x, y: reference_loss(slow, x, y, pad_id), pad_id)
    batches = sentence_batches(sizes, tokenizer, sentences)
    if way == LMCORE:
        return lmcore_step(model, batches, pad_id)
    rnn = TorchRNN(model)
    loss = whole_logits_loss if way == RNN else torch_chunked_loss
    return plain_step(rnn, batches, lambda x, y: loss(rnn, x, y, pad_id), pad_id)


def whole_logits_loss(model: TorchRNN, inputs: Tensor, targets: Tensor, pad_id: int) -> Tensor:
    logits = model.output(model.hidden(inputs))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=pad_id)


def torch_chunked_loss(model: TorchRNN, inputs: Tensor, targets: Tensor, pad_id: int) -> Tensor:
    return F.linear_cross_entropy(
        model.hidden(inputs).flatten(0, 1),
        model.output.weight,
        targets.flatten(),
        linear_bias=model.output.bias,
        ignore_index=pad_id,
        options=nn.LinearCrossEntropyOptions(),
    )


def present_ways() -> list[str]:
    """`WAYS` without what this version of torch lacks."""
    if hasattr(F, "linear_cross_entropy"):
        return list(WAYS)
    say(f"{CHUNKED}: skipped, torch {torch.__version__} has no linear_cross_entropy (2.13 does)")
    return [way for way in WAYS if way != CHUNKED]
