"""A checkpoint as a folder for other libraries: the model, its tokenizer, a README, the run's record."""

import shutil
from pathlib import Path
from typing import Any

from lmcore.checkpoint import Checkpoint, load_checkpoint
from lmcore.durable import replace_text
from lmcore.errors import InputError
from lmcore.interop.model_card import LIBRARY, model_card
from lmcore.interop.onnx_step import save_step
from lmcore.record import Run, load_record
from lmcore.runs.folder import RECORD

FORMATS = tuple(LIBRARY)
CARD = "README.md"  # what the hub shows as the model card


def export_checkpoint(checkpoint: str | Path, out: str | Path, to: str) -> None:
    """Write what `save_checkpoint` wrote into ``out``, as "huggingface" or "onnx".

    Raises InputError for another format, a folder that is no checkpoint, a record of another model, a model
    that the format cannot hold, an ``out`` that holds something, and a package that is not installed.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    if to not in FORMATS:
        raise InputError(f"the format is {to!r}; it must be one of {', '.join(FORMATS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; name a folder that is new or empty")
    trained = load_checkpoint(checkpoint)
    run = load_record(checkpoint / RECORD) if (checkpoint / RECORD).exists() else None
    if run is not None:
        _check_record(run, trained, checkpoint / RECORD)
    _save(trained, out, to)
    replace_text(out / CARD, model_card(out.resolve().name, to, trained, run))
    if run is not None:
        shutil.copyfile(checkpoint / RECORD, out / RECORD)


def _save(trained: Checkpoint, out: Path, to: str) -> None:
    if to == "onnx":
        save_step(out / "model.onnx", trained.model)
        replace_text(out / "tokenizer.json", trained.tokenizer.backend.to_str(pretty=True))
        return
    from lmcore.interop.huggingface import save_for_transformers  # here: transformers takes seconds

    save_for_transformers(out, trained.model, trained.tokenizer)


def _check_record(run: Run, trained: Checkpoint, path: Path) -> None:
    """Raises InputError for a record that says otherwise of the model: its numbers are not this one's."""
    written: dict[str, Any] = run.settings.get("model", {})
    for name, value in written.items():
        found = getattr(trained.model.config, name, value)
        if found != value:
            raise InputError(f"{path} is of another model: its {name} is {value!r}, but here it is {found!r}")
