"""The files of the ladder: one folder per run, one file of trials per model. A file is there or it is not."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lmcore
from benchmarks.ladder.plan import Setting
from benchmarks.measure import save

RESULT, RUN = "result.json", "record.json"
WEIGHTS = "weights"  # a checkpoint; only of runs that are too long to be done again for fun


def run_folder(root: Path, setting: Setting, model: str, seed: int) -> Path:
    return root / setting.name / f"{slug(model)}-{seed}"


def slug(model: str) -> str:
    return model.replace(" ", "-")


def scores(evaluation: lmcore.Evaluation) -> dict[str, Any]:
    return {
        "nats_per_token": evaluation.nats_per_token,
        "perplexity": evaluation.perplexity,
        "bits_per_byte": evaluation.bits_per_byte,
        "num_tokens": evaluation.num_tokens,
    }


def save_result(folder: Path, result: dict[str, Any], run: lmcore.Run | None = None) -> None:
    """The run first: a result means that everything is there."""
    if run is not None:
        run.save(folder / RUN)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    save({"date": date, **result}, folder / RESULT)


def results(root: Path, setting: str) -> list[dict[str, Any]]:
    """All results of a setting, in the order of their folders' names."""
    found = sorted((root / setting).glob(f"*/{RESULT}"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def trials_path(root: Path, setting: Setting, model: str) -> Path:
    return root / (setting.tuned_by or setting.name) / "trials" / f"{slug(model)}.json"


def load_trials(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["trials"] if path.exists() else []
