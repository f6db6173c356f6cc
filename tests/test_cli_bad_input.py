"""The command line answers each kind of bad input with status 2 and one line: the value, the limit."""

import json
import shutil
from pathlib import Path

import pytest

from lmcore.checkpoint import sign_checkpoint

SMALL = ["--emb-dim", "8", "--batch-size", "2", "--seq-len", "12", "--max-steps", "3"]


@pytest.fixture
def bad_files(tmp_path, checkpoint, bpe) -> Path:
    """A folder with an input of each wrong kind."""
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("One line of text.\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9" * 100)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.md").write_text("# not a text file")
    shutil.copytree(checkpoint, tmp_path / "other_vocab")
    config = json.loads((checkpoint / "config.json").read_text()) | {"vocab_size": 5000}
    (tmp_path / "other_vocab" / "config.json").write_text(json.dumps(config))
    sign_checkpoint(tmp_path / "other_vocab")  # a wrong checksum would show first
    shutil.copytree(checkpoint, tmp_path / "truncated")
    (tmp_path / "truncated" / "model.safetensors").write_bytes(b"\x40")
    return tmp_path


def one_line(run, arguments: str, folder: Path) -> str:
    """The message that a bad command leaves; "@" in the arguments is the folder of bad files."""
    status, printed, errors = run(*(argument.replace("@", str(folder)) for argument in arguments.split()))
    assert status == 2
    assert "step" not in printed  # it shows before the training, not after
    assert errors.startswith("lmcore: ")
    assert errors.count("\n") == 1
    assert errors.endswith("\n")
    return errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--corpus @/empty.txt", "corpus empty has 0 characters of text; at least one document"),
        ("--corpus @/short.txt", "the text has 18 tokens, but one window of 2 rows by 12 steps needs 25"),
        ("--corpus @/latin.txt", "byte 0xe9 at offset 3 is not UTF-8"),
        ("--corpus @/missing.txt", "missing.txt does not exist"),
        ("--corpus @/folder", "holds 0 .txt or .jsonl files; at least 1 is needed"),
        ("--tokenizer no-such-name", "tokenizer 'no-such-name' is neither char, word, bpe"),
        ("--tokenizer bpe --vocab-size 259", "vocab_size is 259, but this tokenizer needs at least 260"),
        ("--tokenizer word --vocab-size 4", "vocab_size is 4, but this tokenizer needs at least 5"),
        ("--device cuda", "device is 'cuda', but this machine has: cpu"),
        ("--max-steps 0", "max_steps is 0; it must be above 0"),
        ("--max-seconds -1", "max_seconds is -1.0; it must be above 0"),
        ("--dropout 1", "dropout is 1.0; it must be in [0, 1)"),
        ("--batch-size 0", "batch_size is 0"),
        ("--batches sentences --batch-size 0", "batch_size is 0"),
        ("--seq-len 0", "0 predictions per row; both must be at least 1"),
        ("--emb-dim 0", "emb_dim is 0; it must be at least 1"),
        ("--num-layers -2", "num_layers is -2; it must be at least 1"),
        ("--heads 4", "--heads does not go with --model elman"),
        ("--context 0", "--context does not go with --model elman"),
        ("--model transformer --residual", "--residual does not go with --model transformer"),
        ("--model transformer --variational", "--variational does not go with --model transformer"),
        ("--variational", "--variational is set, but --dropout is 0"),
        ("--model transformer --heads 0", "num_heads is 0; it must be at least 1"),
        ("--model transformer --heads 3", "emb_dim is 8; with num_heads 3 it must be a multiple of 6"),
        ("--model transformer --context 0", "context is 0; it must be at least 1"),
        ("--model transformer --cuda-graph", "--cuda-graph needs a recurrent model"),
        ("--learning-rate nan", "learning_rate is nan; it must be above 0"),
        ("--eval-every 0", "eval_every is 0; it must be above 0"),
        ("--seed -1", "seed is -1; it must be in [0, 2**63)"),
        ("--out @/empty.txt", "empty.txt is a file; it must be a folder"),
        ("--prompt 語", "the prompt holds '語', which is not among the"),
    ],
)
def test_bad_input_to_train(run, bad_files, text_file, arguments, message):
    base = f"train --corpus {text_file} --tokenizer char --out @/model {' '.join(SMALL)} "
    assert message in one_line(run, base + arguments, bad_files)
    assert not (bad_files / "model").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--checkpoint @/missing", "missing is not a checkpoint: it has no model.safetensors"),
        ("--checkpoint @/other_vocab", "tokenizer has 61 tokens, but the model's vocab_size is 5000"),
        ("--checkpoint @/truncated", "model.safetensors was changed after it was saved: its SHA-256 is"),
        ("--prompt 語", "the prompt holds '語', which is not among the 61 tokens of this char tokenizer"),
        ("--temperature -0.1", "temperature is -0.1; it must be 0 (greedy) or above"),
        ("--temperature nan", "temperature is nan"),
        ("--top-p 0", "top_p is 0.0; it must be in (0, 1]"),
        ("--top-p 1.5", "top_p is 1.5; it must be in (0, 1]"),
        ("--top-k 0", "top_k is 0; it must be at least 1"),
        ("--top-k 62", "top_k is 62; it must be in [1, 61], the number of tokens"),
        ("--min-p 0", "min_p is 0.0; it must be in (0, 1]"),
        ("--typical-p 2", "typical_p is 2.0; it must be in (0, 1]"),
        ("--repetition-penalty 0", "repetition_penalty is 0.0; it must be above 0"),
        ("--stop=", "a stop string has 0 characters; at least 1 is needed"),
        ("--max-new-tokens -1", "max_new_tokens is -1; it must be 0 or above"),
        ("--beams 0", "beams is 0; it must be at least 1"),
        ("--beams 2 --max-new-tokens 0", "max_new_tokens is 0; it must be at least 1"),
        ("--beams 2 --length-penalty nan", "length_penalty is nan; it must be in [-10, 10]"),
        ("--beams 2 --temperature 0", "--temperature does not go with --beams"),
        ("--beams 2 --top-p 0.5", "--top-p does not go with --beams"),
        ("--beams 2 --stop=", "a stop string has 0 characters; at least 1 is needed"),
        ("--length-penalty 2", "--length-penalty is set, but --beams is not"),
        ("--device mps", "device is 'mps', but this machine has: cpu"),
        ("--seed 99999999999999999999", "seed is 99999999999999999999"),
    ],
)
def test_bad_input_to_generate(run, bad_files, checkpoint, arguments, message):
    assert message in one_line(run, f"generate --checkpoint {checkpoint} {arguments}", bad_files)


def test_bad_input_to_evaluate(run, bad_files, checkpoint):
    start = f"evaluate --checkpoint {checkpoint} --corpus "
    assert "does not exist" in one_line(run, start + "@/missing.txt", bad_files)
    assert "is not UTF-8" in one_line(run, start + "@/latin.txt", bad_files)
    assert "this machine has: cpu" in one_line(run, start + "@/short.txt --device tpu", bad_files)


def test_a_missing_device_shows_before_any_work(run, bad_files, checkpoint):
    for command in ("train --out @/model", f"evaluate --checkpoint {checkpoint}"):
        assert "device is 'tpu'" in one_line(run, f"{command} --corpus @/empty.txt --device tpu", bad_files)


def test_a_folder_that_cannot_be_written_is_one_line_too(run, bad_files, text_file):
    base = f"train --corpus {text_file} --tokenizer char --out @/short.txt/model {' '.join(SMALL)}"
    assert "short.txt" in one_line(run, base, bad_files)


def test_a_cuda_graph_needs_the_softmax(run, text_file, tmp_path):
    status, _, error = run(
        "train", "--corpus", text_file, "--out", tmp_path / "out", "--cache", tmp_path / "cache",
        "--tokenizer", "char", "--batch-size", "2", "--seq-len", "4", "--emb-dim", "16",
        "--cuda-graph", "--output", "adaptive",
    )  # fmt: skip
    assert (status, error.count("\n")) == (2, 1)
    assert "--cuda-graph needs --output softmax; adaptive" in error
