"""`python -m lmcore export`: a folder that says what it is, with the numbers of its run."""

import json
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import transformers
import yaml
from lively_models import lively
from test_no_network import sockets_of
from transformers import AutoModelForCausalLM

import lmcore
from lmcore.durable import replace_text
from lmcore.errors import InputError
from lmcore.interop.export import export_checkpoint
from lmcore.interop.model_card import model_card

transformers.utils.logging.disable_progress_bar()
TWICE = """
from lmcore.__main__ import main
assert main(["export", "--checkpoint", {checkpoint!r}, "--to", "huggingface", "--out", "out"]) == 0
import lmcore.interop.huggingface
from transformers import pipeline
pipeline("text-generation", model="out")("The", max_new_tokens=3)
"""
FILES = ["README.md", "config.json", "generation_config.json", "model.safetensors", "record.json"]


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """The char model of the command line, for transformers."""
    out = tmp_path_factory.mktemp("exported") / "deep" / "tiny-elman"
    export_checkpoint(checkpoint, out, "huggingface")
    return out


def card(folder) -> tuple[dict, str]:
    """Front matter and text of a README."""
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def table(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", text, flags=re.MULTILINE))


def test_the_command_writes_a_folder_that_transformers_reads(run, checkpoint, exported, tmp_path):
    out = tmp_path / "new"
    status, printed, errors = run("export", "--checkpoint", checkpoint, "--to", "huggingface", "--out", out)
    assert (status, errors) == (0, "")
    assert printed == f"saved for huggingface in {out}; README.md there says how to load it\n"
    found = {path.name for path in out.iterdir()}
    assert found == {*FILES, "tokenizer.json", "tokenizer_config.json"}
    model, tokenizer = lmcore.load_checkpoint(checkpoint)
    sampling = lmcore.Sampling(temperature=0.0, max_new_tokens=20)
    write = transformers.pipeline("text-generation", model=str(out))
    text = write("The boat", do_sample=False, max_new_tokens=20)[0]["generated_text"]
    assert text == lmcore.generate(model, tokenizer, "The boat", sampling)
    assert (out / "model.safetensors").read_bytes() == (exported / "model.safetensors").read_bytes()


def test_the_card_holds_the_numbers_of_the_record(checkpoint, exported):
    record, (front, text) = lmcore.load_record(checkpoint / "record.json"), card(exported)
    assert front["library_name"] == "transformers"
    assert front["pipeline_tag"] == "text-generation"
    assert front["tags"] == ["lmcore", "recurrent-elman"]
    assert text.startswith("\n# tiny-elman\n")
    found, last = table(text), record.validation[-1]
    assert found["parameters"] == f"{lmcore.load_checkpoint(checkpoint).model.num_parameters:,}"
    assert last["bits_per_byte"] is None  # the held-out text holds an unknown character
    assert found["validation after step 3: bits per byte"] == "unknown"
    assert found["validation after step 3: nats per token"] == f"{last['nats_per_token']:.4f}"
    assert found["validation after step 3: perplexity per token"] == f"{last['perplexity']:,.2f}"
    assert record.settings["corpus"] in found["text"]
    assert record.settings["corpus_sha256"] in found["text"]
    assert found["training"].startswith(f"3 steps, {record.steps[-1]['tokens']} tokens, ")
    assert found["seed"] == "0"
    assert found["commit of lmcore"] == (record.environment["commit"] or "unknown")
    assert f"torch {record.environment['libraries']['torch']}" in found["libraries"]
    assert (exported / "record.json").read_bytes() == (checkpoint / "record.json").read_bytes()


def test_the_code_on_the_card_runs(exported, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.+?)```", card(exported)[1], flags=re.DOTALL)
    monkeypatch.chdir(exported.parent)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("The")


@pytest.mark.parametrize(
    ("says", "shown"),
    [
        ("at sea", "a" * 60 + " at sea"),  # the end, after a prompt of more than 50 tokens
        ("and so on, and so on, and so on, and so on, and so on, and on", None),  # 50 tokens, and no end
    ],
)
def test_the_code_on_the_onnx_card_stops_and_writes_no_token_without_text(
    char, tmp_path, monkeypatch, capsys, says, shown
):
    """The step of a session that says this after the prompt, and likes <pad>, <unk> and <bos> better."""
    prompt = "a" * 60
    said = [*char.encode_prompt(prompt), *char.encode(" " + says), char.eos_id]
    lmcore.save_checkpoint(tmp_path / "run", lively("gru", char).float(), char)
    text = model_card("m", "onnx", lmcore.load_checkpoint(tmp_path / "run"), None)
    (code,) = re.findall(r"```python\n(.+?)```", text, flags=re.DOTALL)

    class Session:
        def __init__(self, path):
            self.fed = []

        def get_inputs(self):
            return [SimpleNamespace(name="tokens"), SimpleNamespace(name="state_0", shape=["batch", 4])]

        def run(self, names, given):
            self.fed.append(int(given["tokens"][0, 0]))
            assert self.fed == said[: len(self.fed)]
            logits = np.zeros((1, char.vocab_size), np.float32)
            logits[0, [char.pad_id, char.unk_id, char.bos_id]] = 9
            logits[0, said[len(self.fed)]] = 5
            return logits, given["state_0"]

    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    (tmp_path / "tokenizer.json").write_text(char.backend.to_str(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace('"The"', repr(prompt)), "README.md", "exec"), {})
    expected = shown or (prompt + " " + says)[:110]
    assert capsys.readouterr().out.removesuffix("\n") == expected


def test_writing_and_loading_open_no_socket(checkpoint, tmp_path):
    assert sockets_of(TWICE.format(checkpoint=str(checkpoint)), tmp_path) == "sockets: []"


def test_without_a_record_the_card_says_that_nothing_is_known(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "run")
    (tmp_path / "run" / "record.json").unlink()
    export_checkpoint(tmp_path / "run", tmp_path / "out", "huggingface")
    text = card(tmp_path / "out")[1]
    assert "There is no record of the run" in text
    assert "bits per byte" not in text.split("## Limits")[0]
    assert not (tmp_path / "out" / "record.json").exists()


def test_a_run_that_was_stopped_early_has_a_card(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "run")
    path = tmp_path / "run" / "record.json"
    record = json.loads(path.read_text()) | {"steps": [], "validation": []}
    record["environment"]["commit"] = None
    path.write_text(json.dumps(record))
    export_checkpoint(tmp_path / "run", tmp_path / "out", "huggingface")
    found = table(card(tmp_path / "out")[1])
    assert (found["training"], found["validation"]) == ("unknown", "none")
    assert found["commit of lmcore"] == "unknown"


def test_the_committed_model_goes_out_and_its_older_record_is_read(tmp_path):
    export_checkpoint(lmcore.committed("elman_2x256"), tmp_path / "out", "huggingface")
    found = table(card(tmp_path / "out")[1])
    last = lmcore.load_record(lmcore.committed("elman_2x256/record.json")).validation[-1]
    assert found["validation after step 8,800: bits per byte"] == f"{last['bits_per_byte']:.4f}"
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (
        loaded.num_parameters()
        == lmcore.load_checkpoint(lmcore.committed("elman_2x256")).model.num_parameters
    )


def test_a_transformer_goes_out_too(char, tmp_path):
    config = lmcore.GPTConfig(vocab_size=char.vocab_size, emb_dim=8, num_heads=2, context=6)
    lmcore.save_checkpoint(tmp_path / "run", lmcore.TransformerLM(config), char)
    export_checkpoint(tmp_path / "run", tmp_path / "out", "huggingface")
    front, text = card(tmp_path / "out")
    assert front["tags"] == ["lmcore", "transformer"]
    assert "A small Transformer: 2 layers of width 8, 2 heads, a window of 6 tokens" in text
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.num_attention_heads == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--checkpoint @/missing --to huggingface --out @/out",
            "missing is not a checkpoint: it has no model",
        ),
        (
            "--checkpoint @/run --to huggingface --out @/run",
            "run is there already; name a folder that is new",
        ),
        (
            "--checkpoint @/run --to huggingface --out @/a.txt",
            "a.txt is there already; name a folder that is",
        ),
        (
            "--checkpoint @/ngrams --to huggingface --out @/out",
            "ngrams is not a checkpoint: it has no config",
        ),
        (
            "--checkpoint @/mixed --to huggingface --out @/out",
            "of another model: its emb_dim is 99, but here",
        ),
        (
            "--checkpoint @/gpt --to onnx --out @/out",
            "the model is a TransformerLM; as ONNX goes the step of",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run, checkpoint, char, documents, tmp_path, arguments, message
):
    shutil.copytree(checkpoint, tmp_path / "run")
    shutil.copytree(checkpoint, tmp_path / "mixed")
    record = json.loads((checkpoint / "record.json").read_text())
    record["settings"]["model"]["emb_dim"] = 99
    (tmp_path / "mixed" / "record.json").write_text(json.dumps(record))
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "ngrams").mkdir()
    ngrams = lmcore.laplace(char.encode_documents(documents), char.vocab_size, order=2)
    ngrams.save(tmp_path / "ngrams" / "model.safetensors")
    replace_text(tmp_path / "ngrams" / "tokenizer.json", char.to_json())
    config = lmcore.GPTConfig(vocab_size=char.vocab_size, emb_dim=8, num_heads=2)
    lmcore.save_checkpoint(tmp_path / "gpt", lmcore.TransformerLM(config), char)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    status, printed, errors = run("export", *(part.replace("@", str(tmp_path)) for part in arguments.split()))
    assert (status, printed) == (2, "")
    assert errors.startswith("lmcore: ")
    assert errors.count("\n") == 1
    assert message in errors
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_unknown_format_is_refused(run, checkpoint, tmp_path, capfd):
    with pytest.raises(InputError, match="the format is 'gguf'; it must be one of huggingface, onnx"):
        export_checkpoint(checkpoint, tmp_path / "out", "gguf")
    with pytest.raises(SystemExit):
        run("export", "--checkpoint", checkpoint, "--to", "gguf", "--out", tmp_path / "out")
    assert "invalid choice: 'gguf' (choose from" in capfd.readouterr().err
