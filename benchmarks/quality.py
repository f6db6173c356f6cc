"""Time to quality: how soon lmcore reaches what the reference recipe has learnt after one epoch.

The model, tokenizer, sentences (of up to 30 tokens) and evaluation are the same throughout; two recipes
and two pieces of code are crossed, to tell what is owed to which. Seconds are of training, batches
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
from benchmarks.recipes import FAST, PLAIN, Recipe, Task, prepare, train_lmcore, train_reference
from benchmarks.ways import LMCORE, REFERENCE

BUDGETS = (10.0, 12.0, 15.0, 20.0, 30.0, 60.0, 120.0)  # seconds
QUICK_BUDGETS = (0.1, 0.3)


def run(quick: bool) -> dict[str, Any]:
    return _fill(_start(quick), prepare(quick), lambda record: None)


def resume(quick: bool, path: Path) -> dict[str, Any]:
    """Like `run`, but kept in ``path`` after each training run, and continued from there.

    An unfinished record is continued if its settings and its commit are today's; a finished one, or any
    other, is started afresh.
    """
    record = _start(quick)
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if not found.get("finished", True) and _same(found, record):
            record = found
            say(f"quality: {len(record['runs'])} runs found in {path}")
    return _fill(record, prepare(quick), lambda record: save(record, path))


def _start(quick: bool) -> dict[str, Any]:
    budgets = QUICK_BUDGETS if quick else BUDGETS
    recipes = {recipe.name: asdict(recipe) for recipe in (PLAIN, FAST)}
    head = new_record("quality", quick, **asdict(setting.sizes(quick)), recipes=recipes, budgets=budgets)
    return json.loads(json.dumps({**head, "finished": False, "runs": []}))


def _same(found: dict[str, Any], now: dict[str, Any]) -> bool:
    commits = found["environment"]["commit"], now["environment"]["commit"]
    return found["settings"] == now["settings"] and commits[0] == commits[1]


def _fill(record: dict[str, Any], task: Task, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Do every run that the record does not hold yet."""
    record["preparation_seconds"] = task.preparation_seconds
    epoch = task.epoch_steps(PLAIN)
    _once(record, keep, task, PLAIN, REFERENCE, max_steps=epoch)
    _once(record, keep, task, PLAIN, LMCORE, max_steps=-(-epoch // 8))  # for its speed; it learns the same
    for budget in record["settings"]["budgets"]:
        _once(record, keep, task, FAST, LMCORE, max_seconds=budget)
    reached = first_to_reach(record)
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
    entry = {**plan, **result, "nats_per_token": score.nats_per_token, "perplexity": score.perplexity}
    record["runs"].append(entry)
    keep(record)
    say(f"{recipe.name}, {code}: {entry['seconds']:.1f} s, perplexity {entry['perplexity']:.1f}")


def find(record: dict[str, Any], recipe: Recipe, code: str) -> list[dict[str, Any]]:
    """The runs of one recipe in one code, in the order they were done."""
    return [run for run in record["runs"] if run["recipe"] == recipe.name and run["code"] == code]


def first_to_reach(record: dict[str, Any]) -> dict[str, Any] | None:
    """The shortest budgeted run at least as good as the reference recipe in the reference code."""
    goal = find(record, PLAIN, REFERENCE)[0]["perplexity"]
    good = [run for run in find(record, FAST, LMCORE) if run["perplexity"] <= goal]
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
    reached, preparation = first_to_reach(record), record["preparation_seconds"]
    once = (
        f"lmcore tokenises and counts once, before training: {preparation:.1f} s more; "
        "the reference way tokenises within its seconds"
    )
    if reached is None:
        return [once, "no budget reached the perplexity of the reference recipe"]
    slow, fast = find(record, PLAIN, REFERENCE)[0], reached["seconds"]
    per_step = [run["seconds"] / run["steps"] for run in (slow, find(record, PLAIN, LMCORE)[0])]
    slow_code = find(record, FAST, REFERENCE)[0]["seconds"]
    sooner = f"{slow['seconds'] / fast:.1f} times sooner"
    sooner = f"{sooner} ({slow['seconds'] / (fast + preparation):.1f} with the preparation)"
    parts = f"code alone {per_step[0] / per_step[1]:.1f} (per step of the reference recipe), "
    parts += f"recipe alone {slow['seconds'] / slow_code:.1f} times"
    return [once, f"the reference recipe's perplexity is reached {sooner}; {parts}"]
