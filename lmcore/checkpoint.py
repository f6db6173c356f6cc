"""A trained model as a folder: weights in safetensors, configuration and tokenizer in JSON.

Left out: optimizer and random state, so training cannot be resumed from here. Nothing is unpickled.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

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


def save_checkpoint(folder: str | Path, model: RecurrentLM | TransformerLM, tokenizer: Tokenizer) -> None:
    """Write weights, tokenizer and configuration into ``folder``, each file whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (kind,) = (name for name, (model_class, _) in MODELS.items() if isinstance(model, model_class))
    config = json.dumps({"model": kind, **asdict(model.config)}, indent=2) + "\n"
    _replace(folder / WEIGHTS, lambda path: save_model(model, str(path)))
    _replace(folder / TOKENIZER, tokenizer.save)
    _replace(folder / CONFIG, lambda path: path.write_text(config, encoding="utf-8"))


def _replace(path: Path, write) -> None:
    """Write beside the file, then rename over it: a reader never sees half a file."""
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    os.replace(temporary, path)


def load_checkpoint(folder: str | Path, device: str = "cpu") -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises InputError if a file is missing or damaged, if weights, configuration and tokenizer do not
    belong together, or if a weight is NaN or infinite.
    """
    folder = Path(folder)
    for name in (WEIGHTS, CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise InputError(f"{folder} is not a checkpoint: it has no {name}")
    model_class, config = _read_config(folder / CONFIG)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if tokenizer.vocab_size != config.vocab_size:
        raise InputError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, "
            f"but the model's vocab_size is {config.vocab_size}"
        )
    model = model_class(config)
    try:
        load_model(model, str(folder / WEIGHTS), device="cpu")
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / WEIGHTS} does not fit its configuration: {reason}") from None
    _check_numbers(model, folder / WEIGHTS)
    return Checkpoint(model.to(device).eval(), tokenizer)


def _read_config(path: Path) -> tuple[type[nn.Module], RNNConfig | GPTConfig]:
    """The model's class and its configuration; a file without ``model`` is from before there were two."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        kind = {"model": "recurrent", **fields}["model"]
        if kind not in MODELS:
            raise InputError(f"{path}: model is {kind!r}; it must be one of {', '.join(MODELS)}")
        model_class, config_class = MODELS[kind]
        return model_class, config_class(**{name: fields[name] for name in fields if name != "model"})
    except (json.JSONDecodeError, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a model configuration: {error}") from None


def _check_numbers(model: nn.Module, path: Path) -> None:
    for name, tensor in model.state_dict().items():
        wrong = tensor.numel() - int(tensor.isfinite().sum())
        if wrong:
            raise InputError(
                f"{path}: {name} holds {wrong} of {tensor.numel()} numbers that are NaN or infinite; "
                "the file is damaged, or the run diverged"
            )
