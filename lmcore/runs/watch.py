"""Ways to look at a run while it is going: a headline, one line of progress, TensorBoard."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from lmcore.distributed import World
from lmcore.errors import InputError
from lmcore.record import Run

SCALARS = {  # TensorBoard's names for what an event holds
    "step": {"loss": "loss/training", "learning_rate": "learning rate", "grad_norm": "gradient norm"},
    "validation": {
        "nats_per_token": "loss/validation",
        "perplexity": "validation/perplexity",
        "bits_per_byte": "validation/bits per byte",
    },
}


def headline(model: nn.Module, device: torch.device, world: World) -> str:
    """What is trained, and where."""
    parameters = sum(p.numel() for p in model.parameters())
    has = [f"CUDA {_yes(torch.cuda.is_available())}", f"MPS {_yes(torch.backends.mps.is_available())}"]
    processes = f"{world.size} processes, " if world.size > 1 else ""
    return (
        f"{type(model).__name__}, {parameters:,} parameters, on {device.type} "
        f"({processes}{', '.join(has)}, {torch.get_num_threads()} CPU threads)"
    )


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"


def progress_text(last: dict[str, Any], tokens_per_second: float, progress: float) -> str:
    """One line for a bar, from the last step that was read; ``progress`` in (0, 1] is the part done."""
    left = timedelta(seconds=round(last["seconds"] * (1 - progress) / progress))
    return (
        f"step {last['step']:,}, {tokens_per_second:,.0f} tokens/s, loss {last['loss']:.3f}, "
        f"gradient norm {last['grad_norm']:.2f}, {left} left"
    )


class ProgressBar:
    """One line on a terminal while a run is going, on rank 0; nothing where output goes to a file."""

    def __init__(self, world: World):
        hidden = None if world.is_first else True  # None: where there is no terminal
        style = "{percentage:3.0f}% |{bar:20}| {desc}"
        self.bar = tqdm(total=1.0, disable=hidden, leave=False, miniters=0, bar_format=style)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, run: Run, progress: float) -> None:
        """The last step that was read; ``progress`` is the part of the run that is done."""
        if not self.bar.disable and run.steps:
            progress = min(progress, 1.0)
            text = progress_text(run.steps[-1], run.tokens_per_second, progress)
            self.bar.set_description_str(text, refresh=False)
            self.bar.update(progress - self.bar.n)


class TensorBoard:
    """Writes events as TensorBoard reads them, into ``folder``; `add` is the trainer's ``watch``.

    The package tensorboard is not installed with lmcore: raises InputError where it is missing.
    """

    def __init__(self, folder: str | Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(f"TensorBoard is not installed ({error}): pip install tensorboard") from None
        self.folder, self.make_writer, self.writer = Path(folder), SummaryWriter, None

    def add(self, kind: str, event: dict[str, Any]) -> None:
        """One event of a run."""
        if "step" not in event:
            return
        step = event["step"]
        if self.writer is None:  # a run that goes on hides what was drawn from here on before
            self.writer = self.make_writer(str(self.folder), purge_step=step)
        for name, title in SCALARS.get(kind, {}).items():
            if event[name] is not None:
                self.writer.add_scalar(title, event[name], step)
        if kind == "sample":
            self.writer.add_text(f"sample/{event['prompt']}", event["text"], step)

    def close(self) -> None:
        """Write what is still in memory."""
        if self.writer is not None:
            self.writer.close()
