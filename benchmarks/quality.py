"""Time to quality: how soon lmcore reaches what the reference recipe has learnt after one epoch.

The model, tokenizer, sentences (of up to 30 tokens) and evaluation (exact, all logits) are the same
throughout; recipes and two pieces of code are crossed, to tell what is owed to which. The third recipe
trains with a sampled softmax, which the reference code does not have. Seconds are of training, batches
included, validation not. Each budget is a run of its own, with a schedule of its own that ends there.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lmcore
from benchmarks import setting
from benchmarks.measure import new_record, save, say, text_table
from benchmarks.recipes import FAST, PLAIN, SAMPLED, Recipe, Task, prepare, train_lmcore, train_reference
from benchmarks.ways import LMCORE, REFERENCE

BUDGETS = (5.0, 10.0, 15.0, 30.0, 60.0, 120.0)  # seconds
QUICK_BUDGETS = (0.1, 0.3)


def run(quick: bool) -> dict[str, Any]:
    return _fill(_start(quick), prepare(quick), lambda record: None)


def resume(quick: bool, path: Path) -> dict[str, Any]:
    """Like `run`, but kept in ``path`` after each training run, and continued from there.

    Runs are kept whose recipe is still the same, if model and corpus are; each says at which commit it
    was made. To measure everything again, delete the file.
    """
    record = _start(quick)
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        record["runs"] = _still_valid(found, record)
        say(f"quality: {len(record['runs'])} of {len(found['runs'])} runs in {path} are kept")
    return _fill(record, prepare(quick), lambda record: save(record, path))


def _start(quick: bool) -> dict[str, Any]:
    budgets = QUICK_BUDGETS if quick else BUDGETS
    recipes = {recipe.name: asdict(recipe) for recipe in (PLAIN, FAST, SAMPLED)}
    head = new_record("quality", quick, **asdict(setting.sizes(quick)), recipes=recipes, budgets=budgets)
    return json.loads(json.dumps({**head, "finished": False, "runs": []}))


def _still_valid(found: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of an older record that would be done again just so."""
    old, new = found["settings"], now["settings"]
    varying = {"recipes", "budgets"}
    if {k: v for k, v in old.items() if k not in varying} != {
        k: v for k, v in new.items() if k not in varying
    }:
        return []
    same = {name for name, recipe in new["recipes"].items() if old["recipes"].get(name) == recipe}
    budgets = {None, *new["budgets"]}
    return [run for run in found["runs"] if run["recipe"] in same and run["max_seconds"] in budgets]


def _fill(record: dict[str, Any], task: Task, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Do every run that the record does not hold yet."""
    record["preparation_seconds"] = task.preparation_seconds
    epoch = task.epoch_steps(PLAIN)
    _once(record, keep, task, PLAIN, REFERENCE, max_steps=epoch)
    _once(record, keep, task, PLAIN, LMCORE, max_steps=-(-epoch // 8))  # for its speed; it learns the same
    for recipe in (SAMPLED, FAST):
        for budget in record["settings"]["budgets"]:
            _once(record, keep, task, recipe, LMCORE, max_seconds=budget)
    reached = first_to_reach(record, FAST)
    if reached is None:
        say("no budget reached the reference recipe's perplexity: its steps are not repeated in slow code")
    else:
        _once(record, keep, task, FAST, REFERENCE, max_steps=reached["steps"])
    record["finished"] = True
    return record


def _once(
    record: dict[str, Any],
    keep: Callable[[dict[str, Any]], None],
    task: Task,
    recipe: Recipe,
    code: str,
    max_steps: int | None = None,
    max_seconds: float | None = None,
) -> None:
    """Train, evaluate and keep the result, unless the record has it."""
    plan = {"recipe": recipe.name, "code": code, "max_steps": max_steps, "max_seconds": max_seconds}
    if any({name: kept[name] for name in plan} == plan for kept in record["runs"]):
        return
    if code == LMCORE:
        model, result = train_lmcore(task, recipe, max_steps, max_seconds)
    else:
        model, result = train_reference(task, recipe, max_steps)
    score = lmcore.evaluate(model, task.held_out, task.data.tokenizer.pad_id)
    entry = {
        **plan,
        "commit": record["environment"]["commit"],
        **result,
        "nats_per_token": score.nats_per_token,
        "perplexity": score.perplexity,
    }
    record["runs"].append(entry)
    keep(record)
    say(f"{recipe.name}, {code}: {entry['seconds']:.1f} s, perplexity {entry['perplexity']:.1f}")


def find(record: dict[str, Any], recipe: Recipe, code: str) -> list[dict[str, Any]]:
    """The runs of one recipe in one code, in the order they were done."""
    return [run for run in record["runs"] if run["recipe"] == recipe.name and run["code"] == code]


def first_to_reach(record: dict[str, Any], recipe: Recipe = SAMPLED) -> dict[str, Any] | None:
    """The shortest budgeted run at least as good as the reference recipe in the reference code."""
    goal = find(record, PLAIN, REFERENCE)[0]["perplexity"]
    good = [run for run in find(record, recipe, LMCORE) if run["perplexity"] <= goal]
    return min(good, key=lambda run: run["seconds"], default=None)


def table(record: dict[str, Any]) -> str:
    slow = find(record, PLAIN, REFERENCE)[0]
    rows = [
        [
            f"{run['recipe']}, {run['code']}",
            *(f"{run[name]:,}" for name in ("steps", "predictions")),
            *(f"{value:.1f}" for value in (run["seconds"], run["perplexity"])),
            "" if _is_part(run) else f"{slow['seconds'] / run['seconds']:.1f}",
        ]
        for run in record["runs"]
    ]
    header = ["recipe, code", "steps", "predictions", "seconds", "perplexity", "times shorter"]
    return "\n".join([text_table(header, rows), *_notes(record)])


def _is_part(run: dict[str, Any]) -> bool:
    """Whether this run was cut short on purpose, so that its time is not that of an epoch."""
    return run["recipe"] == PLAIN.name and run["code"] == LMCORE


def _notes(record: dict[str, Any]) -> list[str]:
    slow, preparation = find(record, PLAIN, REFERENCE)[0], record["preparation_seconds"]
    notes = [
        f"lmcore tokenises and counts once, before training: {preparation:.1f} s more; "
        "the reference way tokenises within its seconds"
    ]
    for recipe in (SAMPLED, FAST):
        reached = first_to_reach(record, recipe)
        notes.append(f"{recipe.name}: {_sooner(slow, reached, preparation)}")
    per_step = [run["seconds"] / run["steps"] for run in (slow, find(record, PLAIN, LMCORE)[0])]
    notes.append(f"code alone: {per_step[0] / per_step[1]:.1f} times (a step of the reference recipe)")
    for run in find(record, FAST, REFERENCE):
        notes.append(f"recipe alone, exact loss: {slow['seconds'] / run['seconds']:.1f} times")
    return notes


def _sooner(slow: dict[str, Any], reached: dict[str, Any] | None, preparation: float) -> str:
    goal = f"perplexity {slow['perplexity']:.1f}"
    if reached is None:
        return f"no budget reached {goal}"
    fast = reached["seconds"]
    with_preparation = slow["seconds"] / (fast + preparation)
    return (
        f"{goal} reached {slow['seconds'] / fast:.1f} times sooner ({with_preparation:.1f} with preparation)"
    )
