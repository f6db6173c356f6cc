"""What is run: the settings of the ladder, the models on it, and what may be tuned."""

import random
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from lmcore.errors import InputError


@dataclass(frozen=True)
class Spec:
    """One neural model and how it is trained; a trial is a choice of these."""

    kind: str  # a recurrent cell, or transformer
    emb_dim: int = 256
    num_layers: int = 1
    dropout: float = 0.0
    output: str = "softmax"  # or sampled: in training only, evaluation is exact
    residual: bool = False
    emb_std: float = 0.05  # of the tied matrix, at the start
    heads: int = 4  # transformer only
    context: int = 128  # transformer only: how far attention reaches, in tokens
    batch_size: int = 32  # streams
    seq_len: int = 64
    learning_rate: float = 4e-3  # at its peak
    weight_decay: float = 0.1


@dataclass(frozen=True)
class Setting:
    """One table of the ladder: ``seconds`` or ``epochs`` ends a run, ``parameters`` fixes the size if set."""

    name: str
    text: str  # sotu (BPE tokens) or shakespeare (characters)
    seconds: float | None = None
    epochs: int | None = None
    parameters: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    evaluations: int = 10  # of a run, the last included
    generated_tokens: int = 128  # of each text that is written to time it
    tuned_by: str = ""  # the setting whose trials choose the rest; empty: its own
    trial_seconds: float = 60.0
    trials: int = 8
    device: str = "cpu"
    reset_windows: tuple[int, ...] = ()  # also scored with the state emptied after so many tokens
    specs: tuple[Spec, ...] = ()  # chosen by hand, these models only, each mixed with Kneser-Ney


NANOGPT = (64, 256)  # the contexts of its recipes for a CPU and for a card, in characters
LONGEST = Spec("lstm", emb_dim=512, dropout=0.3, output="sampled")
COUNTING = ("unigram", "bigram", "kneser-ney 3", "kneser-ney 5")
NEURAL = ("elman", "gru", "lstm", "mingru", "transformer")
SETTINGS = (
    Setting("same_seconds", "sotu", seconds=600.0),
    Setting("same_parameters", "sotu", epochs=1, parameters=3_500_000, tuned_by="same_seconds"),
    Setting("characters_60", "shakespeare", seconds=60.0, trial_seconds=30.0, reset_windows=NANOGPT),
    Setting(
        "characters_600",
        "shakespeare",
        seconds=600.0,
        tuned_by="characters_60",
        seeds=(0,),
        reset_windows=NANOGPT,
    ),
    Setting("longest", "sotu", epochs=8, evaluations=24, seeds=(0,), specs=(LONGEST,)),
)
QUICK = tuple(
    replace(
        setting,
        seconds=setting.seconds and 0.1,
        parameters=setting.parameters and 100_000,
        seeds=(0, 1),
        evaluations=2,
        generated_tokens=4,
        epochs=setting.epochs and 1,
        trial_seconds=0.1,
        trials=2,
        specs=tuple(replace(spec, emb_dim=16, batch_size=4, seq_len=16) for spec in setting.specs),
    )
    for setting in SETTINGS
)

CHOICES: dict[str, dict[str, tuple[Any, ...]]] = {
    "sotu": {
        "emb_dim": (256, 384, 512),
        "num_layers": (1, 2),
        "dropout": (0.0, 0.1),
        "output": ("sampled",),
        "batch_size": (16, 32),
        "seq_len": (32, 64),
        "learning_rate": (1e-3, 2e-3, 4e-3),
    },
    "shakespeare": {
        "emb_dim": (192, 256, 384),
        "num_layers": (1, 2),
        "dropout": (0.0, 0.1, 0.2),
        "batch_size": (16, 32),
        "seq_len": (64, 128),
        "learning_rate": (3e-3, 6e-3, 1e-2),
    },
}
QUICK_CHOICES = {"emb_dim": (16, 32), "batch_size": (2, 4), "seq_len": (16,)}
OWN: dict[str, dict[str, tuple[Any, ...]]] = {  # where a family is at home: it replaces the common choices
    "mingru": {"num_layers": (2, 3), "residual": (True,)},
    "transformer": {"num_layers": (2, 4), "learning_rate": (5e-4, 1e-3, 2e-3)},
}


def trials(kind: str, setting: Setting, quick: bool) -> list[Spec]:
    """As many different specs for every kind, drawn by chance from its choices; always the same ones."""
    choices = QUICK_CHOICES if quick else {**CHOICES[setting.text], **OWN.get(kind, {})}
    draws = random.Random(crc32(f"{kind} {setting.text}".encode()))
    found: dict[Spec, None] = {}
    while len(found) < setting.trials:
        found[Spec(kind, **{name: draws.choice(values) for name, values in choices.items()})] = None
    return list(found)


def models_of(setting: Setting) -> tuple[str, ...]:
    """The names of a setting's models, from counting to learning."""
    return (*COUNTING, *([spec.kind for spec in setting.specs] or NEURAL))


def all_models() -> tuple[str, ...]:
    return (*COUNTING, *NEURAL)


def find_setting(name: str, quick: bool) -> Setting:
    for setting in QUICK if quick else SETTINGS:
        if setting.name == name:
            return setting
    raise InputError(f"there is no setting {name!r}; there are: {', '.join(s.name for s in SETTINGS)}")
