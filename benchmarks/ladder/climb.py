"""Doing what the plan says and no record holds yet: trials first, then runs."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import lmcore
from benchmarks.ladder import counting, neural, records
from benchmarks.ladder.plan import COUNTING, Setting, Spec, find_setting, models_of, trials
from benchmarks.ladder.task import Task, read
from benchmarks.measure import processor, save, say
from lmcore.record import environment


def climb(setting: Setting, models: tuple[str, ...], root: Path, quick: bool, path: Path | None) -> None:
    """Fill the folder of one setting: what counts, the trials, then the runs, seed by seed.

    Seed by seed, so that a ladder that was stopped holds every model and not the first ones three times.
    """
    task = read(setting.text, quick, path)
    models = tuple(model for model in models if model in models_of(setting))
    for model in filter(COUNTING.__contains__, models):
        _once(root, setting, model, 0, partial(counting.measure, model, task, setting))
    learning = [model for model in models if model not in COUNTING]
    specs = {model: best_spec(model, setting, task, root, quick) for model in learning}
    for seed in setting.seeds:
        for model, spec in specs.items():
            folder = records.run_folder(root, setting, model, seed)
            measure = partial(_measure, spec, task, setting, seed, folder)
            _once(root, setting, model, seed, measure)


def _once(root: Path, setting: Setting, model: str, seed: int, measure: Callable[[], tuple]) -> None:
    folder = records.run_folder(root, setting, model, seed)
    if (folder / records.RESULT).exists():
        say(f"{setting.name}: {folder.name} has a record")
        return
    head = {"ladder": setting.name, "model": model, "seed": seed, "environment": here(setting)}
    start = time.perf_counter()
    result, run = measure()
    records.save_result(folder, {**head, **result}, run)
    shown = result["validation"]["bits_per_byte"] or result["validation"]["nats_per_token"]
    say(f"{setting.name}: {folder.name}, validation {shown:.4f}, {time.perf_counter() - start:.0f} s in all")


def here(setting: Setting) -> dict[str, Any]:
    """The environment of a record, and how busy the machine was when the run began."""
    return {
        **environment(torch.device(setting.device)),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def best_spec(model: str, setting: Setting, task: Task, root: Path, quick: bool) -> Spec:
    """The trial with the best validation, at the setting's size; trials not done yet are done now."""
    if setting.specs:
        return next(spec for spec in setting.specs if spec.kind == model)
    tuned = find_setting(setting.tuned_by, quick) if setting.tuned_by else setting
    path = records.trials_path(root, setting, model)
    done = records.load_trials(path)
    for spec in trials(model, tuned, quick):
        if any(trial["spec"] == asdict(spec) for trial in done):
            continue
        done.append(_trial(spec, task, tuned))
        about = {
            "ladder": tuned.name,
            "model": model,
            "seconds": tuned.trial_seconds,
            "environment": here(setting),
        }
        save({**about, "trials": done}, path)
        say(f"{tuned.name}: trial {len(done)} of {model}, {done[-1]['nats_per_token']:.4f} nats per token")
    best = Spec(**min(done, key=lambda trial: trial["nats_per_token"])["spec"])
    if setting.parameters:
        return neural.with_parameters(best, task.tokenizer.vocab_size, setting.parameters)
    return best


def _trial(spec: Spec, task: Task, tuned: Setting) -> dict[str, Any]:
    """A short run, compared on every fourth validation document: enough to choose by, and soon done."""
    short = replace(tuned, seconds=tuned.trial_seconds, evaluations=1)
    part = replace(task, validation=task.validation[::4])
    _, run = neural.train(spec, part, short, seed=100, log=lambda line: None)  # a seed of no other run
    last = run.validation[-1]
    tokens = run.steps[-1]["tokens"]
    return {"spec": asdict(spec), "nats_per_token": last["nats_per_token"], "tokens": tokens}


def _measure(
    spec: Spec, task: Task, setting: Setting, seed: int, folder: Path
) -> tuple[dict[str, Any], lmcore.Run]:
    """Train, score on validation and (once, here) on test, time generation."""
    model, run = neural.train(spec, task, setting, seed, log=say)
    model.eval()
    result = {
        "spec": asdict(spec),
        "parameters": model.num_parameters,
        "train_tokens": run.steps[-1]["tokens"],
        "train_seconds": run.steps[-1]["seconds"],
        "train_tokens_per_second": run.tokens_per_second,
        "generation_tokens_per_second": neural.generation_speed(model, task, setting.generated_tokens),
        "validation": records.scores(task.evaluate(model, "validation")),
        "test": records.scores(task.evaluate(model, "test")) if task.test else None,
    }
    if setting.reset_windows:
        result["validation_reset"] = {
            str(k): records.scores(task.evaluate(model, "validation", reset_every=k))
            for k in setting.reset_windows
        }
    if setting.specs:
        lmcore.save_checkpoint(folder / records.WEIGHTS, model, task.tokenizer)
        result["mixture"] = counting.mixed(model, task)
    return result, run
