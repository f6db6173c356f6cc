"""A tokenizer by name: one of the three kinds trained here, or one published on the Hugging Face hub."""

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub.constants import ENDPOINT

from lmcore.errors import InputError
from lmcore.normalize import replace_numbers
from lmcore.tokenizer import PAD, Tokenizer, train_bpe, train_char, train_word


def pretrained(name: str, numbers: str | None = None) -> Tokenizer:
    """The tokenizer of a published model by name or folder, for example "microsoft/Phi-3.5-mini-instruct".

    ``numbers`` is put in place of each run of digits first.

    Padding must not be ``<eos>``, or the loss would never see an end: where a tokenizer has no
    padding of its own, its ``<unk>`` row serves (byte-level and byte-fallback tokenizers never emit
    it), else a ``<pad>`` is added. Raises InputError if it cannot be reached or has no fast form.
    """
    from transformers import AutoTokenizer  # here: it takes seconds and only this needs it

    try:
        published = AutoTokenizer.from_pretrained(name, local_files_only=hub_is_offline())
    except Exception as error:  # also KeyError, ImportError: a damaged folder, a library not installed
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"tokenizer {name!r} is neither char, word, bpe, a local folder, nor to be had from the "
            f"Hugging Face hub now ({reason.rstrip('.')}); fetch it once with a network, or name a folder "
            "that holds its tokenizer.json"
        ) from None
    backend = getattr(published, "backend_tokenizer", None)
    if backend is None or published.eos_token_id is None:
        raise InputError(f"tokenizer {name!r} has no fast form or no end-of-sequence token")
    backend.no_truncation()  # some are published with a limit, which would cut documents silently
    backend.no_padding()
    replace_numbers(backend, numbers)
    eos_id, unk_id, pad_id = published.eos_token_id, published.unk_token_id, published.pad_token_id
    if pad_id in (None, eos_id):
        pad_id = unk_id if unk_id not in (None, eos_id) else None
    if pad_id is None:
        backend.add_special_tokens([PAD])
        pad_id = backend.token_to_id(PAD)
    bos_id = eos_id if published.bos_token_id is None else published.bos_token_id
    unk_id = None if unk_id in (eos_id, pad_id) else unk_id
    return Tokenizer(backend, name, pad_id, unk_id, bos_id, eos_id)


def hub_is_offline() -> bool:
    """Whether the hub's name cannot be looked up; without this the hub's client retries for a minute."""
    if getproxies().get("https"):
        return False  # the proxy looks names up
    try:
        socket.getaddrinfo(urlsplit(ENDPOINT).hostname, 443)
    except socket.gaierror:
        return True
    return False


def make_tokenizer(
    kind: str, texts: Sequence[str], vocab_size: int = 8192, numbers: str | None = None
) -> Tokenizer:
    """Train "char", "word" or "bpe" on the texts; any other ``kind`` is a pretrained name.

    ``numbers``: what each run of digits is replaced by, wherever the tokenizer is used from then on.
    """
    if kind == "char":
        return train_char(texts, numbers)
    if kind == "word":
        return train_word(texts, vocab_size, numbers)
    if kind == "bpe":
        return train_bpe(texts, vocab_size, numbers)
    return pretrained(kind, numbers)
