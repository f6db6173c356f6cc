"""Trained models as files that a web page reads: the live playground of the book.

A folder holds ``tokenizer.json``, one binary file per model with its tensors one after another (the low byte
first, each at a multiple of four bytes), and ``manifest.json``, which says where each tensor lies and has the
size and the SHA-256 of every file. ``book/_static/playground/library.js`` reads it, and so does
`load_playground`: the page and Python then calculate with the same numbers.

Matrices are rounded to float16, vectors stay float32: the error of a bias of -8 would be seen in the logits.

Left out: layers with a residual connection, cells and output layers that the page does not calculate, and
tokenizers other than our own byte-level BPE.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from tokenizers import pre_tokenizers
from torch import nn

from lmcore.durable import replace_file, replace_text
from lmcore.errors import InputError
from lmcore.ngram import NGramLM, NGramTable
from lmcore.output import SoftmaxOutput
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.tokenizer import Tokenizer

FORMAT = 1  # as in library.js; goes up when the layout changes
MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
CELLS = ("elman", "gru", "lstm")  # those that the page can calculate
DTYPES = {name: np.dtype(name).newbyteorder("<") for name in ("float16", "float32", "uint16")}
ALIGNMENT = 4  # bytes
LARGEST_VOCAB = 2**16 - 1
PRE_TOKENIZER = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
CLASSES = {"letters": r"\p{L}+", "numbers": r"\p{N}+", "blanks": r"\s+"}
CODE_POINTS = 0x110000
SURROGATES = range(0xD800, 0xE000)
BLOCK = 256  # code points at a time: the library's time grows with the square


@dataclass(frozen=True)
class _Parts:
    """A model taken apart: what the page has to know, and the arrays by name."""

    kind: str  # recurrent or ngram
    config: dict[str, Any]
    arrays: dict[str, np.ndarray]


def export_playground(
    folder: str | Path,
    tokenizer: Tokenizer,
    models: Mapping[str, nn.Module],
    about: Mapping[str, dict[str, Any]] | None = None,
) -> None:
    """Write the folder, each file whole or not at all, the manifest last.

    ``models``: RecurrentLM and NGramLM by the names of their files; ``about`` says what else the page may
    show of each ("bits_per_byte"). Raises InputError for a model or a tokenizer that the page cannot work
    with, if they do not belong together, and for a weight that float16 cannot hold.
    """
    folder, about = Path(folder), about or {}
    _check_tokenizer(tokenizer)
    parts = {name: _take_apart(name, model, tokenizer) for name, model in models.items()}
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / TOKENIZER, tokenizer.to_json())
    entries = [_write_model(folder, name, part, about.get(name, {})) for name, part in parts.items()]
    read = {**_file_entry(folder / TOKENIZER), **character_classes()}
    manifest = {"format": FORMAT, "vocab_size": tokenizer.vocab_size, "tokenizer": read, "models": entries}
    replace_text(folder / MANIFEST, json.dumps(manifest, ensure_ascii=False) + "\n")


def _check_tokenizer(tokenizer: Tokenizer) -> None:
    if tokenizer.kind != "bpe":
        raise InputError(f"the tokenizer is of kind {tokenizer.kind!r}; the page reads 'bpe' only")
    backend = json.loads(tokenizer.backend.to_str())
    found = backend["pre_tokenizer"] or {}
    if backend["normalizer"] is not None or {key: found.get(key) for key in PRE_TOKENIZER} != PRE_TOKENIZER:
        raise InputError("the tokenizer changes the text before it merges (numbers=...?); the page does not")
    if tokenizer.vocab_size > LARGEST_VOCAB:
        raise InputError(f"vocab_size is {tokenizer.vocab_size}; the page reads up to {LARGEST_VOCAB}")


@cache
def character_classes() -> dict[str, list[int]]:
    """Code points that regular expressions of `tokenizers` take for letters, numbers and blanks.

    As [first, last, first, last, ...]. A browser has tables of its own, of another version of Unicode.
    """
    return {name: _code_points(pattern) for name, pattern in CLASSES.items()}


def _code_points(pattern: str) -> list[int]:
    """The ranges of code points that a pattern matches."""
    matcher = pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="removed")
    inside = np.zeros(CODE_POINTS + 1, dtype=bool)  # one more, which is outside: it ends the last range
    for start in range(0, CODE_POINTS, BLOCK):
        if start in SURROGATES:
            continue
        inside[start : start + BLOCK] = True
        for _, (left, right) in matcher.pre_tokenize_str("".join(map(chr, range(start, start + BLOCK)))):
            inside[start + left : start + right] = False
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0))
    return [int(edge) - i % 2 for i, edge in enumerate(edges)]


def _take_apart(name: str, model: nn.Module, tokenizer: Tokenizer) -> _Parts:
    if isinstance(model, RecurrentLM):
        parts, vocab_size = _recurrent_parts(name, model), model.config.vocab_size
    elif isinstance(model, NGramLM):
        parts, vocab_size = _ngram_parts(name, model), model.vocab_size
    else:
        raise InputError(f"{name} is a {type(model).__name__}; the page reads RecurrentLM and NGramLM")
    if vocab_size != tokenizer.vocab_size:
        raise InputError(f"{name} has {vocab_size} tokens, but the tokenizer {tokenizer.vocab_size}")
    return parts


def _recurrent_parts(name: str, model: RecurrentLM) -> _Parts:
    config = model.config
    if config.cell not in CELLS:
        raise InputError(f"{name} has the cell {config.cell!r}; the page has {', '.join(CELLS)}")
    if config.residual or not isinstance(model.output, SoftmaxOutput):
        raise InputError(f"{name} has residual layers or an adaptive output, which the page does not have")
    fields = ("cell", "vocab_size", "emb_dim", "num_layers", "tie_weights", "pad_id")
    arrays = {key: _rounded(f"{name}: {key}", value) for key, value in model.named_parameters()}
    return _Parts("recurrent", {field: getattr(config, field) for field in fields}, arrays)


def _rounded(name: str, parameter: nn.Parameter) -> np.ndarray:
    """A matrix in float16, a vector in float32."""
    values = parameter.detach().cpu().to(torch.float16 if parameter.ndim > 1 else torch.float32)
    if not values.isfinite().all():
        largest = parameter.detach().abs().max().item()
        raise InputError(f"{name} holds {largest:g}; float16 ends at {torch.finfo(torch.float16).max:g}")
    return values.numpy()


def _ngram_parts(name: str, model: NGramLM) -> _Parts:
    """Per level: how many n-grams are kept after each context, their last tokens, their shares.

    The rest is what the shares leave over, and so need not be stored.
    """
    if model.to_all:
        raise InputError(f"{name} gives its rest to all tokens alike (Laplace), which the page does not do")
    arrays, num_contexts = {}, 1
    for k, table in enumerate(model.tables, start=1):
        keys = table.keys.numpy()
        followers = np.bincount(keys // model.vocab_size, minlength=num_contexts)
        arrays[f"followers.{k}"] = followers.astype(np.uint16)
        arrays[f"tokens.{k}"] = (keys % model.vocab_size).astype(np.uint16)
        arrays[f"share.{k}"] = table.share[:-1].float().numpy()
        num_contexts = len(keys)
    about = {"order": model.order, "vocab_size": model.vocab_size, "smoothing": model.about}
    return _Parts("ngram", about, arrays)


def _write_model(folder: Path, name: str, parts: _Parts, about: dict[str, Any]) -> dict[str, Any]:
    """Write the tensors one after another; returns the manifest's entry."""
    payload, tensors = bytearray(), []
    for key, array in parts.arrays.items():
        dtype = array.dtype.name
        tensors.append({"name": key, "dtype": dtype, "shape": list(array.shape), "offset": len(payload)})
        payload += array.astype(DTYPES[dtype]).tobytes()
        payload += bytes(-len(payload) % ALIGNMENT)
    path = folder / f"{name}.bin"
    replace_file(path, lambda temporary: temporary.write_bytes(payload))
    known = {"name": name, "kind": parts.kind, "config": parts.config, "about": about}
    return {**known, **_file_entry(path), "tensors": tensors}


def _file_entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def load_playground(folder: str | Path) -> dict[str, RecurrentLM | NGramLM]:
    """The models of a folder with exactly the numbers that the page calculates with, by name.

    Raises InputError if a file is missing, damaged, or of another version.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise InputError(f"{folder} has format {manifest['format']}; this version reads {FORMAT}")
        return {entry["name"]: _read_model(folder, entry) for entry in manifest["models"]}
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no exported models: there is no {error.filename}") from None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder / MANIFEST} is damaged: {' '.join(str(error).split())}") from None


def _read_model(folder: Path, entry: dict[str, Any]) -> RecurrentLM | NGramLM:
    path = folder / entry["file"]
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != entry["sha256"]:
        raise InputError(f"{path} is damaged: its SHA-256 is {found}, but {entry['sha256']} was written")
    arrays = {}
    for tensor in entry["tensors"]:
        dtype, size = DTYPES[tensor["dtype"]], int(np.prod(tensor["shape"]))
        array = np.frombuffer(content, dtype, size, tensor["offset"]).reshape(tensor["shape"])
        arrays[tensor["name"]] = array.astype(dtype.newbyteorder("="))
    return {"recurrent": _recurrent, "ngram": _ngram}[entry["kind"]](entry["config"], arrays)


def _recurrent(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> RecurrentLM:
    model = RecurrentLM(RNNConfig(**config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[name]))
    return model.eval()


def _ngram(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> NGramLM:
    tables = []
    for k in range(1, config["order"] + 1):
        followers, tokens, share = (arrays[f"{part}.{k}"] for part in ("followers", "tokens", "share"))
        contexts = np.repeat(np.arange(len(followers)), followers)
        share = share.astype(np.float64)
        rest = 1 - np.bincount(contexts, share, minlength=len(followers))
        ends = (np.append(share, 0.0), np.append(rest, 1.0))
        keys = contexts * config["vocab_size"] + tokens
        tables.append(NGramTable(torch.from_numpy(keys), *map(torch.from_numpy, ends)))
    return NGramLM(config["vocab_size"], tables, to_all=False, about=config["smoothing"])
