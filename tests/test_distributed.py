"""Two processes train the same model as one: started by torchrun, over gloo, on this machine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from distributed_worker import CASES, fit, score
from small_runs import make_trainer as make_small_trainer

from lmcore.distributed import World, join_world
from lmcore.errors import InputError
from lmcore.record import load_record

ROOT = Path(__file__).parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def torchrun(*arguments) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*TORCHRUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=ROOT)


@pytest.fixture(scope="module")
def two(tmp_path_factory, documents) -> list[dict]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "documents.json").write_text(json.dumps(documents), encoding="utf-8")
    result = torchrun(ROOT / "tests" / "distributed_worker.py", folder / "documents.json", folder / "out")
    assert result.returncode == 0, result.stderr
    return [json.loads((folder / f"out.{rank}").read_text(encoding="utf-8")) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_losses_of_one(two, documents, case):
    alone = fit(documents, case, World())
    for together in (process[case] for process in two):
        for kind, names in {
            "steps": ("loss", "grad_norm", "tokens", "learning_rate"),
            "validation": ("step", "nats_per_token", "bits_per_byte"),
        }.items():
            for one, other in zip(alone["run"][kind], together["run"][kind], strict=True):
                expected, found = ([entry[name] for name in names] for entry in (one, other))
                assert found == pytest.approx(expected, rel=1e-4)
        for one, other in zip(alone["weight"], together["weight"], strict=True):
            assert one == pytest.approx(other, abs=1e-9)
        assert together["run"]["settings"]["processes"] == 2


def test_two_processes_score_a_text_like_one(two, documents):
    alone = score(documents, World())
    assert len(alone["by_position"]) > 5
    for found in (process["score"] for process in two):
        for name in ("total_nats", "num_tokens", "num_bytes"):
            assert found[name] == pytest.approx(alone[name], abs=1e-9)
        for expected, bin_ in zip(alone["by_position"], found["by_position"], strict=True):
            assert bin_ == pytest.approx(expected, abs=1e-9)


def test_only_rank_0_saves(two):
    assert [process["streams"]["saved"] for process in two] == [3, 0]


def test_stopped_after_any_step_and_gone_on(two):
    """To the bit, with a part of the snapshot for each process."""
    for process in two:
        assert len(process["resume"]) == 21
        assert all(process["resume"].values()), process["resume"]


def test_another_number_of_processes_does_not_go_on(two, tmp_path_factory):
    folder = next(path for path in tmp_path_factory.getbasetemp().glob("two*") if (path / "runs").exists())
    with pytest.raises(InputError, match="holds a run with other settings: processes: 2 -> 1"):
        make_small_trainer("sentences", folder / "runs" / "sentences" / "3").fit()


def test_a_process_that_cannot_write_stops_all_and_a_damaged_part_counts(two):
    for found in (process["wrong"] for process in two):
        assert re.match(r"no snapshot of step 6: .* No space left.*; that of step 3 is whole", found["save"])
        assert found["kept"] == ["step-00000003.process-1.safetensors", "step-00000003.safetensors"]
        assert "none of 1 snapshots is whole" in found["resume"]


def test_numbers_and_texts_travel(two):
    assert [process["texts"] for process in two] == [["from 0 ☃", "from 1 ☃"]] * 2
    assert [process["text"] for process in two] == ["naïve ☃"] * 2
    assert [process["sum"] for process in two] == [[2, 1]] * 2


def test_a_world_of_one_gives_back_what_it_got():
    with join_world() as world:
        assert (world.rank, world.size, world.is_first) == (0, 1, True)
        assert world.sum([1.5, 2]) == [1.5, 2]
        assert world.from_first(2.5) == 2.5
        assert world.text_from_first("x") == "x"
        world.wait()


def test_more_processes_than_rows_are_refused(make_trainer, char):
    made = make_trainer(char)
    with pytest.raises(InputError, match="batch_size is 4, but accumulate 1 x 5 processes need at least 5"):
        type(made)(made.model, made.batches, char, made.config, world=World(rank=0, size=5))


def test_more_parts_than_rows_are_refused(make_trainer, char):
    with pytest.raises(InputError, match="batch_size is 4, but accumulate 5 x 1 process need at least 5"):
        make_trainer(char, accumulate=5)


def test_torchrun_trains_from_the_command_line(text_file, tmp_path):
    text = ["--tokenizer", "bpe", "--vocab-size", "300"]
    sizes = ["--emb-dim", "8", "--batch-size", "4", "--seq-len", "8"]
    folders = ["--corpus", text_file, "--cache", tmp_path / "cache", "--out", tmp_path / "out"]
    result = torchrun("-m", "lmcore", "train", *text, *sizes, *folders, "--max-steps", "3", "--prompt", "The")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("saved model") == 1
    assert "2 processes" in result.stdout
    record = load_record(tmp_path / "out" / "record.json")
    assert len(record.steps) == 3
    assert record.settings["processes"] == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2  # training and validation, written once


def test_a_world_larger_than_the_batch_ends_with_one_line(text_file, tmp_path):
    result = torchrun(
        "-m", "lmcore", "train", "--tokenizer", "char", "--batch-size", "1", "--corpus", text_file,
        "--cache", tmp_path / "cache", "--out", tmp_path / "out", "--max-steps", "1",
    )  # fmt: skip
    assert result.returncode != 0
    assert "lmcore: batch_size is 1, but accumulate 1 x 2 processes need at least 2 rows" in result.stderr
    assert "Traceback" not in result.stderr.split("lmcore: batch_size")[0]
