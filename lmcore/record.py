"""A run record: everything needed to say where a number came from, as data and as one JSON file."""

import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmcore.durable import replace_text
from lmcore.errors import InputError

LIBRARIES = ("torch", "tokenizers", "numpy")
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Run:
    """What `Trainer.fit` returns. Lists hold plain dictionaries, one per event, in order.

    ``steps``: step, loss (nats/token), learning_rate, grad_norm (before clipping), tokens (read so
    far), seconds (of training so far). ``validation``: step, seconds, nats_per_token, perplexity,
    bits_per_byte. ``samples``: step, prompt, text. ``settings``: the configurations and what the
    caller says about data; ``environment``: device, versions, commit.
    """

    settings: dict[str, Any]
    environment: dict[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """Of training, validation and sampling not counted."""
        return self.steps[-1]["tokens"] / self.steps[-1]["seconds"]

    def save(self, path: str | Path) -> None:
        """Write the record as JSON, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, _compact_json(asdict(self)))


def _compact_json(content: dict[str, Any]) -> str:
    """JSON with one event per line: short enough to commit, and its diffs can be read."""
    parts = []
    for name, value in content.items():
        if isinstance(value, list):
            lines = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value)
            parts.append(f'"{name}": [\n  {lines}\n ]' if value else f'"{name}": []')
        else:
            parts.append(f'"{name}": {json.dumps(value, ensure_ascii=False)}')
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def load_record(path: str | Path) -> Run:
    """Read a run record; raises InputError if there is none or it is damaged."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        known = {own.name for own in fields(Run)}
        if not isinstance(content, dict) or not {"settings", "environment"} <= set(content) <= known:
            raise ValueError(f"it must hold {', '.join(sorted(known))}")
        return Run(**content)
    except FileNotFoundError:
        raise InputError(f"there is no run record at {path}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a run record: {error}") from None


def committed(name: str) -> Path:
    """Path of a file under ``book/records/``, wherever lmcore is installed.

    Raises InputError if there is no such record.
    """
    path = Path(str(files("lmcore_records") / name))
    if not path.exists():
        raise InputError(f"there is no committed record {name!r} in {path.parent}")
    return path


def settings_of(
    model: nn.Module, batches: Any, config: Any, processes: int, about: dict[str, Any]
) -> dict[str, Any]:
    """What decides about a run: configurations of model and training, sizes and order of the batches.

    ``about`` is what the caller says of the text.
    """
    settings = {"train": asdict(config), "processes": processes, **about}
    sizes = {name: getattr(batches, name, None) for name in ("batch_size", "seq_len", "seed")}
    settings["batches"] = {"class": type(batches).__name__, **sizes, "number": len(batches)}
    if hasattr(model, "config"):
        settings["model"] = {"class": type(model).__name__, **asdict(model.config)}
    return settings


def environment(device: torch.device) -> dict[str, Any]:
    """Where a run happens: device by name, library versions, commit of lmcore (None if unknown)."""
    is_cuda = device.type == "cuda"
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if is_cuda else platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def _commit() -> str | None:
    """None where lmcore is installed from a wheel: a repository around that is somebody else's."""
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # no git on this machine, or no commit yet
    return result.stdout.strip()
