"""The command line from text to generation."""

import ast
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmcore
from lmcore.__main__ import main
from lmcore.rnn import CELLS

SMALL = ["--emb-dim", "8", "--batch-size", "2", "--seq-len", "12", "--max-steps", "3"]


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
@pytest.mark.parametrize("batches", ["streams", "sentences"])
def test_train_evaluate_generate(run, text_file, tmp_path, kind, batches):
    out, options = tmp_path / "model", ["--corpus", text_file, "--batches", batches]
    more = [
        "--vocab-size",
        "300",
        "--tie-weights",
        "--eval-every",
        "2",
        "--prompt",
        "The",
        "--dropout",
        "0.1",
    ]
    status, printed, errors = run("train", *options, "--tokenizer", kind, "--out", out, *SMALL, *more)
    assert (status, errors) == (0, "")
    assert printed.startswith("Corpus(tiny: train 1 documents")
    assert f"saved model, tokenizer and run record in {out}" in printed

    record = lmcore.load_record(out / "record.json")
    assert [entry["step"] for entry in record.steps] == [1, 2, 3]
    assert [entry["step"] for entry in record.validation] == [0, 2, 3]
    assert record.samples[-1]["text"].startswith("The")
    assert record.settings["corpus_sha256"] == lmcore.corpus_from_path(text_file).sha256
    assert record.settings["options"]["batches"] == batches
    assert record.settings["model"]["tie_weights"]
    assert record.settings["model"]["dropout"] == 0.1

    status, printed, errors = run("evaluate", "--checkpoint", out, *options)
    assert (status, errors) == (0, "")
    found = float(printed.removeprefix("tiny, validation: ").split()[0])
    assert found == pytest.approx(record.validation[-1]["nats_per_token"], abs=6e-4)

    status, printed, errors = run("generate", "--checkpoint", out, "--prompt", "The", "--seed", "3")
    assert (status, errors) == (0, "")
    assert printed.startswith("The")
    assert run("generate", "--checkpoint", out, "--prompt", "The", "--seed", "3")[1] == printed


MODEL_OPTIONS = {
    **{cell: {} for cell in CELLS},
    "lstm": {"--variational": True, "--dropout": 0.2},
    "gru": {"--residual": True},
    "transformer": {"--heads": 2, "--context": 6, "--dropout": 0.1},
}


@pytest.mark.parametrize("name", MODEL_OPTIONS)
def test_every_model_trains_scores_and_writes(run, text_file, tmp_path, name):
    chosen, out = MODEL_OPTIONS[name], tmp_path / "model"
    options = [str(part) for pair in chosen.items() for part in pair if part is not True]
    base = ["--corpus", text_file, "--tokenizer", "char", "--model", name, *options, *SMALL]
    status, _, errors = run("train", *base, "--out", out)
    assert (status, errors) == (0, "")
    record, config = lmcore.load_record(out / "record.json"), lmcore.load_checkpoint(out).model.config
    assert record.settings["options"]["model"] == getattr(config, "cell", "transformer") == name
    for option, value in chosen.items():
        assert getattr(config, {"--heads": "num_heads"}.get(option, option.removeprefix("--"))) == value

    printed = run("evaluate", "--checkpoint", out, "--corpus", text_file)[1]
    found = float(printed.removeprefix("tiny, validation: ").split()[0])
    assert found == pytest.approx(record.validation[-1]["nats_per_token"], abs=6e-4)
    assert run("generate", "--checkpoint", out, "--prompt", "The")[1].startswith("The")


def test_same_seed_same_model_and_it_starts_from_the_frequencies(run, text_file, tmp_path):
    weights, first = [], []
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        arguments = ["--tokenizer", "char", "--out", tmp_path / name, "--seed", seed, *SMALL]
        assert run("train", "--corpus", text_file, *arguments)[0] == 0
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
        record = lmcore.load_record(tmp_path / name / "record.json")
        assert record.settings["train"]["seed"] == int(seed)
        first.append(record.validation[0]["nats_per_token"])
    assert weights[0] == weights[1] != weights[2]
    assert max(first) < 3.3  # ln V is 4.1; the unigram model stands near 3.1


def test_one_pass_is_the_default_length(run, text_file, tmp_path):
    sizes = ["--emb-dim", "4", "--batch-size", "4", "--seq-len", "10"]
    assert run("train", "--corpus", text_file, "--tokenizer", "char", "--out", tmp_path / "m", *sizes)[0] == 0
    record = lmcore.load_record(tmp_path / "m" / "record.json")
    (text,) = lmcore.corpus_from_path(text_file).train  # nothing of the other parts is trained on
    assert len(record.steps) == record.settings["train"]["max_steps"] == (len(text) + 2 - 1) // 4 // 10


def scored(printed: str) -> int:
    """How many tokens an evaluation says it was over."""
    return int(re.search(r"over +([\d,]+) tokens", printed).group(1).replace(",", ""))


def test_parts_of_the_corpus(run, checkpoint, text_file):
    printed = {}
    for part in ("train", "validation", "test", "all"):
        arguments = ["--corpus", text_file, "--part", part]
        printed[part] = run("evaluate", "--checkpoint", checkpoint, *arguments)[1]
        assert printed[part].startswith(f"tiny, {part}: ")
    tokens = {part: scored(line) for part, line in printed.items()}
    assert tokens["all"] == tokens["train"] + tokens["validation"] + tokens["test"]
    assert tokens["train"] > tokens["validation"] > 100


def test_evaluation_by_sentence(run, checkpoint, text_file):
    printed = run("evaluate", "--checkpoint", checkpoint, "--corpus", text_file, "--batches", "sentences")[1]
    sentences = lmcore.split_sentences(lmcore.corpus_from_path(text_file).validation[0])
    assert f"over {sum(len(sentence) + 1 for sentence in sentences)} tokens" in printed


def test_evaluation_says_what_the_model_remembers_and_where_it_is_good(run, checkpoint, text_file):
    base = ["evaluate", "--checkpoint", checkpoint, "--corpus", text_file]
    carried, reset = run(*base)[1], run(*base, "--reset-every", "8", "--by-position")[1].splitlines()
    assert carried.endswith(" tokens, state carried\n")
    assert reset[0].endswith(" tokens, state reset every 8 tokens")
    assert scored(carried) == scored(reset[0]) == sum(map(scored, reset[1:]))
    assert [re.findall(r"\d+", line)[:2] for line in reset[1:]] == [
        ["1", "1"], ["2", "2"], ["3", "4"], ["5", "8"],
    ]  # fmt: skip
    assert "word perplexity" not in carried  # it holds a character that the training text has not
    known = run(*base, "--part", "train")[1]
    words = lmcore.count_words(lmcore.corpus_from_path(text_file).train)
    nats = float(known.split()[2]) * scored(known)
    shown = float(re.search(r"word perplexity ([\d.,]+)", known).group(1).replace(",", ""))
    assert math.log(shown) == pytest.approx(nats / words, rel=1e-3)


def test_temperature_zero_is_greedy_and_sampling_options_arrive(run, checkpoint):
    def text(*options) -> str:
        return run("generate", "--checkpoint", checkpoint, "--prompt", "The", *options)[1]

    greedy = text("--temperature", "0")
    assert text("--temperature", "0", "--seed", "9") == greedy
    assert text("--top-k", "1") == text("--top-p", "0.000001") == greedy
    assert text("--temperature", "2") != greedy
    assert text("--max-new-tokens", "0") == "The\n"
    assert len(text("--max-new-tokens", "7", "--top-k", "4")) <= len("The\n") + 7


def test_other_ways_of_choosing_arrive(run, checkpoint):
    def text(*options) -> str:
        return run("generate", "--checkpoint", checkpoint, "--prompt", "The", *options)[1]

    greedy, drawn = text("--temperature", "0"), text("--seed", "5", "--temperature", "1")
    assert text("--min-p", "1") == greedy
    assert text("--seed", "5", "--temperature", "1", "--typical-p", "0.2") != drawn
    assert text("--temperature", "0", "--repetition-penalty", "50") != greedy
    assert text("--temperature", "0", "--repetition-penalty", "1") == greedy
    assert text("--beams", "1", "--length-penalty", "0") == greedy


def test_a_stop_string_cuts_the_text(run, checkpoint):
    base = ["generate", "--checkpoint", checkpoint, "--prompt", "The", "--temperature", "1"]
    text = run(*base)[1].removesuffix("\n")
    stops = ["--stop", text[9:12], "--stop", "no such text"]
    status, printed, errors = run(*base, *stops)
    assert (status, errors) == (0, "")
    assert printed == text[: text.index(text[9:12], 3)] + "\n"


def test_a_stop_string_cuts_what_beams_find(run, checkpoint):
    base = [
        "generate",
        "--checkpoint",
        checkpoint,
        "--prompt",
        "The",
        "--beams",
        "3",
        "--length-penalty",
        "5",
    ]
    text = run(*base)[1].removesuffix("\n")
    stop = text[5:7]
    status, printed, errors = run(*base, "--stop", stop, "--scores")
    assert (status, errors) == (0, "")
    model, tokenizer = lmcore.load_checkpoint(checkpoint)
    found = lmcore.beam_search(model, tokenizer, "The", lmcore.BeamSearch(3, 5.0), stop=stop)
    assert [line[10:] for line in printed.splitlines()] == [one for one, _ in found]
    assert not any(stop in one.removeprefix("The") for one, _ in found)
    assert run(*base, "--stop", stop)[1] == found[0][0] + "\n"


def test_several_prompts_are_written_together(run, checkpoint):
    base = ["generate", "--checkpoint", checkpoint]
    ways = [("The", 7), ("", 8), ("A", 9)]
    alone = [run(*base, "--prompt", prompt, "--seed", seed)[1] for prompt, seed in ways]
    prompts = ["--prompt", "The", "--prompt", "", "--prompt", "A", "--seed", "7"]
    assert run(*base, *prompts)[1] == "".join(alone)


def test_scores_are_printed_beside_the_tokens(run, checkpoint):
    base = ["generate", "--checkpoint", checkpoint, "--prompt", "The", "--max-new-tokens", "5"]
    text, *lines = run(*base, "--scores")[1].split("\n")[:-1]
    assert text + "\n" == run(*base)[1]
    assert len(lines) == 5
    assert all(float(line.split()[0]) < 0 and float(line.split()[1]) < 0 for line in lines)
    assert "".join(ast.literal_eval(line[21:]) for line in lines) == text.removeprefix("The")
    ranked = run(*base, "--beams", "3", "--scores")[1].splitlines()
    scores = [float(line.split()[0]) for line in ranked]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert ranked[0][10:] + "\n" == run(*base, "--beams", "3")[1]


def test_without_a_path_the_corpus_is_the_built_in_one():
    assert lmcore.open_corpus(None).name == "sotu"


def test_a_run_that_diverges_says_so_and_is_saved(run, text_file, tmp_path):
    arguments = ["--tokenizer", "char", "--out", tmp_path / "m", *SMALL, "--learning-rate", "1e6"]
    status, printed, errors = run("train", "--corpus", text_file, *arguments)
    assert (status, errors) == (0, "")
    assert "perplexity inf" in printed
    assert lmcore.load_record(tmp_path / "m" / "record.json").validation[-1]["perplexity"] == float("inf")


@pytest.mark.parametrize("command", ["", "train", "evaluate", "generate", "export", "runs"])
def test_help(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert stopped.value.code == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    assert printed.startswith(f"usage: python -m lmcore {command}".strip())
    if command == "generate":
        assert "0 means greedy" in " ".join(printed.split())


def test_as_a_program(run, checkpoint, tmp_path):
    """Two real processes: the exit status and both streams are what a shell sees."""
    root = Path(lmcore.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-W", "error", "-m", "lmcore", "generate", "--checkpoint"]

    def process(*more, folder=checkpoint) -> tuple[int, str, str]:
        done = subprocess.run(
            [*command, str(folder), *more],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    expected = run("generate", "--checkpoint", checkpoint, "--temperature", "0")
    assert process("--temperature", "0") == expected
    assert process("--top-k", "0") == (2, "", "lmcore: top_k is 0; it must be at least 1\n")
    damaged = shutil.copytree(checkpoint, tmp_path / "damaged")
    config = damaged / "config.json"  # here no import hook checks types before lmcore does
    config.write_text(json.dumps(json.loads(config.read_text()) | {"emb_dim": 8.0}))
    lmcore.sign_checkpoint(damaged)  # a wrong checksum would show first
    assert process(folder=damaged) == (2, "", "lmcore: emb_dim is 8.0; it must be a whole number\n")


def test_token_files_are_found_again_and_damage_is_one_line(run, text_file, tmp_path):
    cache = tmp_path / "cache"
    options = ["--corpus", text_file, "--tokenizer", "char", "--cache", cache, "--out", tmp_path / "m"]
    first, second = (run("train", *options, *SMALL) for _ in range(2))
    assert [line.split("(")[-1].split()[0] for line in first[1].splitlines()[1:3]] == ["written", "written"]
    assert [line.split("(")[-1] for line in second[1].splitlines()[1:3]] == ["found)", "found)"]
    assert len(list(cache.iterdir())) == 2
    assert run("evaluate", "--checkpoint", tmp_path / "m", *options[:2], "--cache", cache)[0] == 0
    assert len(list(cache.iterdir())) == 2  # validation text and tokenizer are those of the training
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    status, _, errors = run("train", *options, *SMALL)
    assert (status, errors.count("\n")) == (2, 1)
    assert errors.endswith("; delete it and run again\n")


def test_validation_on_a_part_of_the_held_out_text(run, tmp_path, documents):
    (tmp_path / "texts").mkdir()
    for i in range(4):
        for j, text in enumerate(documents[:20]):
            (tmp_path / "texts" / f"{i}_{j:02}.txt").write_text(text, encoding="utf-8")
    options = ["--corpus", tmp_path / "texts", "--tokenizer", "char", "--out", tmp_path / "m", *SMALL]
    held_out = lmcore.corpus_from_path(tmp_path / "texts").validation
    assert len(held_out) == 4
    status, printed, _ = run("train", *options, "--eval-size", sum(map(len, held_out)) // 2)
    assert status == 0
    kept = sum(len(text) + 1 for text in held_out[::2])
    assert f"over {kept} tokens" in printed
    status, _, errors = run("train", *options, "--out", tmp_path / "other", "--eval-size", "0")
    assert (status, errors) == (2, "lmcore: eval_size is 0; it must be at least 1\n")
