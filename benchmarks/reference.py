"""The course's starting point, as a teaching text writes it: clear, and nothing done for speed.

A Python loop over time steps, whole (B, T, V) logits, `nn.CrossEntropyLoss`, AdamW as torch gives it, a
loader that tokenises sentence by sentence while training, and generation that reads the whole prefix
again for every token. Benchmarks and chapters compare lmcore with it; parameters have lmcore's names,
so that one set of weights fits both.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lmcore.tokenizer import Tokenizer


class ReferenceElman(nn.Module):
    """One Elman unit: h_t = tanh(W x_t + U h_{t-1} + b), one time step per call."""

    def __init__(self, dim: int):
        super().__init__()
        self.W = nn.Parameter(torch.empty(dim, dim))
        self.U = nn.Parameter(torch.empty(dim, dim))
        self.b = nn.Parameter(torch.zeros(dim))

    def forward(self, x_t: Tensor, h_prev: Tensor) -> Tensor:
        """(B, D) and (B, D) to (B, D)."""
        return torch.tanh(x_t @ self.W + h_prev @ self.U + self.b)


class ReferenceLM(nn.Module):
    """Embedding, Elman layers, output layer: tokens (B, T) to logits (B, T, V)."""

    def __init__(self, vocab_size: int, emb_dim: int, num_layers: int, pad_id: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, emb_dim, padding_idx=pad_id)
        self.layers = nn.ModuleList(ReferenceElman(emb_dim) for _ in range(num_layers))
        self.output = nn.Linear(emb_dim, vocab_size)

    def forward(self, tokens: Tensor) -> Tensor:
        embedded = self.embedding(tokens)  # (B, T, D)
        B, T, D = embedded.shape
        states = [embedded.new_zeros(B, D) for _ in self.layers]
        outputs = []
        for t in range(T):
            x_t = embedded[:, t]
            for i, layer in enumerate(self.layers):
                x_t = states[i] = layer(x_t, states[i])
            outputs.append(x_t)
        return self.output(torch.stack(outputs, dim=1))  # (B, T, V)


class SentenceDataset(Dataset):
    """Sentences as text; each is tokenised when it is asked for, every epoch anew."""

    def __init__(self, sentences: Sequence[str], tokenizer: Tokenizer, seq_len: int):
        self.sentences, self.tokenizer, self.seq_len = sentences, tokenizer, seq_len

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, index: int) -> Tensor:
        ids = self.tokenizer.encode(self.sentences[index])
        framed = [self.tokenizer.bos_id, *ids, self.tokenizer.eos_id]
        return torch.tensor(framed[: self.seq_len])


def loader(
    sentences: Sequence[str], tokenizer: Tokenizer, seq_len: int, batch_size: int, epoch: int = 0
) -> DataLoader:
    """Batches (inputs, targets) of padded sentences, in the order that lmcore takes with seed 0."""

    def collate(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_id)
        return padded[:, :-1], padded[:, 1:]

    dataset = SentenceDataset(sentences, tokenizer, seq_len)
    order = np.random.default_rng([0, epoch]).permutation(len(dataset))
    return DataLoader(dataset, batch_size, sampler=order.tolist(), collate_fn=collate)


def endless(
    sentences: Sequence[str], tokenizer: Tokenizer, seq_len: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of epoch 0, 1, 2 and so on."""
    epoch = 0
    while True:
        yield from loader(sentences, tokenizer, seq_len, batch_size, epoch)
        epoch += 1


def reference_loss(model: ReferenceLM, inputs: Tensor, targets: Tensor, pad_id: int) -> Tensor:
    """Mean nats per real target, from whole logits."""
    logits = model(inputs)  # (B, T, V)
    criterion = nn.CrossEntropyLoss(ignore_index=pad_id)
    return criterion(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


@torch.no_grad()
def generate_by_rerunning(model: nn.Module, prompt_ids: list[int], new_tokens: int) -> list[int]:
    """Greedy continuation; every token costs a pass over everything before it.

    ``model`` gives logits, or logits and a state, which is thrown away.
    """
    ids = list(prompt_ids)
    for _ in range(new_tokens):
        output = model(torch.tensor([ids]))
        logits = output[0] if isinstance(output, tuple) else output
        ids.append(int(logits[0, -1].argmax()))
    return ids[len(prompt_ids) :]
