"""A trained model as a folder: weights in safetensors, configuration and tokenizer in JSON.

``config.json`` holds the SHA-256 of all three, so that a changed byte is noticed. Nothing is unpickled.
Left out: what training needs to go on; that is a snapshot (`lmcore.snapshot`).
"""

import dataclasses
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model
from torch import nn

from lmcore.durable import replace_file, replace_text
from lmcore.errors import InputError
from lmcore.gpt import GPTConfig, TransformerLM
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.tokenizer import Tokenizer, load_tokenizer

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
MODELS = {"recurrent": (RecurrentLM, RNNConfig), "transformer": (TransformerLM, GPTConfig)}


class Checkpoint(NamedTuple):
    """A model in evaluation mode and the tokenizer that it was trained with."""

    model: RecurrentLM | TransformerLM
    tokenizer: Tokenizer


def kind_of(model: nn.Module) -> str:
    """Its name in MODELS. Raises InputError for a model that a checkpoint cannot hold."""
    for name, (model_class, _) in MODELS.items():
        if isinstance(model, model_class):
            return name
    known = ", ".join(model_class.__name__ for model_class, _ in MODELS.values())
    raise InputError(f"the model is a {type(model).__name__}; a checkpoint can hold {known}")


def save_checkpoint(folder: str | Path, model: RecurrentLM | TransformerLM, tokenizer: Tokenizer) -> None:
    """Write weights, tokenizer and configuration into ``folder``, each file whole or not at all.

    Raises InputError for a model of another kind than these two.
    """
    folder, fields = Path(folder), {"model": kind_of(model), **asdict(model.config)}
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / TOKENIZER, tokenizer.to_json())
    before = [_sha256(folder / WEIGHTS)] if (folder / WEIGHTS).exists() else []

    def write(temporary: Path) -> None:
        save_model(model, str(temporary))
        # whichever of old and new a killed process leaves under the name, the configuration knows it
        _write_config(folder, fields, [_sha256(temporary), *before])

    replace_file(folder / WEIGHTS, write)
    _write_config(folder, fields, [_sha256(folder / WEIGHTS)])


def sign_checkpoint(folder: str | Path) -> None:
    """Put checksums into the configuration of a folder that has none, or whose files were changed on purpose.

    Nothing else changes. Whoever signs says that the files are what they should be: `load_checkpoint`
    refuses any other. Raises InputError if a file is missing or the configuration damaged.
    """
    folder = Path(folder)
    _check_files(folder)
    fields, _ = _read_fields(folder / CONFIG)
    _write_config(folder, fields, [_sha256(folder / WEIGHTS)])


def _write_config(folder: Path, fields: dict[str, Any], weights: list[str]) -> None:
    sums = {WEIGHTS: weights, TOKENIZER: [_sha256(folder / TOKENIZER)], CONFIG: [_sha256_of_fields(fields)]}
    replace_text(folder / CONFIG, json.dumps({**fields, "sha256": sums}, indent=2) + "\n")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_fields(fields: dict[str, Any]) -> str:
    """Of the configuration's content, however it is laid out."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def load_checkpoint(folder: str | Path, device: str = "cpu") -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises InputError if a file is missing or damaged, if weights, configuration and tokenizer do not
    belong together, or if a weight is NaN or infinite.
    """
    folder = Path(folder)
    _check_files(folder)
    fields, sums = _read_fields(folder / CONFIG)
    _check_sums(folder, fields, sums)
    model_class, config = _make_config(folder / CONFIG, fields)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if tokenizer.vocab_size != config.vocab_size:
        raise InputError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, "
            f"but the model's vocab_size is {config.vocab_size}"
        )
    try:
        _check_size(config, folder / WEIGHTS)
        model = model_class(config)
        load_model(model, str(folder / WEIGHTS), device="cpu")
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / WEIGHTS} does not fit its configuration: {reason}") from None
    _check_numbers(model, folder / WEIGHTS)
    return Checkpoint(model.to(device).eval(), tokenizer)


def _check_files(folder: Path) -> None:
    for name in (WEIGHTS, CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise InputError(f"{folder} is not a checkpoint: it has no {name}")


def _read_fields(path: Path) -> tuple[dict[str, Any], dict[str, list[str]] | None]:
    """What ``config.json`` says of the model, and its checksums; None if it has none."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(fields, dict):
            raise TypeError(f"it holds a {type(fields).__name__}")
        sums = None
        if "sha256" in fields:
            sums = {name: [str(sum_) for sum_ in known] for name, known in fields.pop("sha256").items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a model configuration: {error}") from None
    return fields, sums


def _check_sums(folder: Path, fields: dict[str, Any], sums: dict[str, list[str]] | None) -> None:
    """Raises InputError for a file that is not the one whose checksum was written down."""
    if sums is None:
        raise InputError(
            f"{folder / CONFIG} holds no checksums, so nobody can tell whether the files are whole; "
            "lmcore.sign_checkpoint writes them, if you trust the folder"
        )
    found = {CONFIG: _sha256_of_fields(fields)}
    found |= {name: _sha256(folder / name) for name in (TOKENIZER, WEIGHTS)}
    for name, checksum in found.items():
        if checksum not in sums.get(name, []):
            raise InputError(
                f"{folder / name} was changed after it was saved: its SHA-256 is {checksum}, "
                f"but {' or '.join(sums.get(name, ['none']))} was written"
            )


def _make_config(path: Path, fields: dict[str, Any]) -> tuple[type[nn.Module], RNNConfig | GPTConfig]:
    """The model's class and its configuration; a file without ``model`` is from before there were two."""
    try:
        kind = {"model": "recurrent", **fields}["model"]
        if kind not in MODELS:
            raise InputError(f"{path}: model is {kind!r}; it must be one of {', '.join(MODELS)}")
        model_class, config_class = MODELS[kind]
        unknown = sorted(set(fields) - {"model", *(field.name for field in dataclasses.fields(config_class))})
        if unknown:
            raise InputError(f"{path} is not a model configuration: no model has {unknown[0]!r}")
        return model_class, config_class(**{name: fields[name] for name in fields if name != "model"})
    except TypeError as error:
        raise InputError(f"{path} is not a model configuration: {error}") from None


def _check_size(config: RNNConfig | GPTConfig, path: Path) -> None:
    """Before a model is made: one of another size than the file might take any amount of memory and time."""
    with safe_open(str(path), framework="pt") as file:
        count = len(file.keys())
        shape = list(file.get_slice("embedding.weight").get_shape())
    wanted = [config.vocab_size, config.emb_dim]
    if shape != wanted:
        raise InputError(f"{path} does not fit its configuration: the embedding is {shape}, not {wanted}")
    if config.num_layers > count:
        layers = config.num_layers
        raise InputError(f"{path} does not fit its configuration: {layers} layers, but {count} tensors")


def _check_numbers(model: nn.Module, path: Path) -> None:
    for name, tensor in model.state_dict().items():
        wrong = tensor.numel() - int(tensor.isfinite().sum())
        if wrong:
            raise InputError(
                f"{path}: {name} holds {wrong} of {tensor.numel()} numbers that are NaN or infinite; "
                "the file is damaged, or the run diverged"
            )
