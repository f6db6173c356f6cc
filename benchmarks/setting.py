"""The reference setting: its sizes, its sentences, its tokenizer. Every benchmark takes them from here."""

from dataclasses import dataclass
from functools import cache

import torch

import lmcore

NUM_PARAMETERS = 8_292_619


@dataclass(frozen=True)
class Sizes:
    """The reference step; `TINY` is the same in small, for trying things out."""

    vocab_size: int = 32_011
    emb_dim: int = 128  # width of the embedding and of every layer
    num_layers: int = 2
    batch_size: int = 128  # sentences
    seq_len: int = 30  # tokens of a sentence, so 29 predictions; what goes over is cut off

    def mflop_per_prediction(self) -> float:
        """Million floating-point operations of the matrix products, forward and backward.

        A product with an (n, m) matrix costs 2 n m forward and twice that backward.
        """
        output = self.emb_dim * self.vocab_size
        layers = 2 * self.num_layers * self.emb_dim**2
        return 6 * (output + layers) / 1e6


REFERENCE = Sizes()
TINY = Sizes(vocab_size=300, emb_dim=8, batch_size=8, seq_len=64)


@dataclass(frozen=True)
class Data:
    """Sentences of the built-in corpus as text, and the tokenizer trained on its training part."""

    tokenizer: lmcore.Tokenizer
    train: tuple[str, ...]
    validation: tuple[str, ...]
    sha256: str  # of the corpus


@cache
def data(quick: bool) -> Data:
    """All sentences, or those of the first documents with a small tokenizer."""
    corpus = lmcore.builtin_corpus()
    documents, held_out = list(corpus.train), list(corpus.validation)
    if quick:
        documents, held_out = [documents[0][:8000]], [held_out[0][:3000]]
    tokenizer = lmcore.train_bpe(documents, sizes(quick).vocab_size)
    return Data(tokenizer, _sentences(documents), _sentences(held_out), corpus.sha256)


def sizes(quick: bool) -> Sizes:
    return TINY if quick else REFERENCE


def _sentences(documents: list[str]) -> tuple[str, ...]:
    return tuple(sentence for text in documents for sentence in lmcore.split_sentences(text))


def new_model(sizes: Sizes, pad_id: int, seed: int = 0) -> lmcore.RecurrentLM:
    """The reference model with weights that depend on the seed only."""
    torch.manual_seed(seed)
    config = lmcore.RNNConfig(
        vocab_size=sizes.vocab_size, emb_dim=sizes.emb_dim, num_layers=sizes.num_layers, pad_id=pad_id
    )
    model = lmcore.RecurrentLM(config)
    if sizes == REFERENCE and model.num_parameters != NUM_PARAMETERS:
        raise lmcore.InputError(f"the model has {model.num_parameters:,} parameters, not {NUM_PARAMETERS:,}")
    return model
