"""One step as ONNX: what onnxruntime computes is what torch computes, token after token."""

import re
import sys

import numpy as np
import pytest
import torch
from lively_models import lively, prompts

import lmcore
from lmcore.errors import InputError
from lmcore.interop.export import export_checkpoint
from lmcore.interop.onnx_step import Step, save_step

NAMES = [*lmcore.CELLS, "adaptive", "variational, residual, tied"]


@pytest.fixture(scope="module")
def runtime():
    """onnxruntime, where it and what torch needs to export are installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'lmcore[onnx]'")
    return sys.modules["onnxruntime"]


@pytest.fixture(scope="module", params=NAMES)
def session(request, runtime, char, tmp_path_factory):
    """A model in float32 and its step in onnxruntime; to trace one takes seconds."""
    model, path = lively(request.param, char).float(), tmp_path_factory.mktemp("onnx") / "model.onnx"
    save_step(path, model)
    assert list(path.parent.iterdir()) == [path]  # the weights are inside
    return model, runtime.InferenceSession(path)


def start(session, rows: int) -> dict[str, np.ndarray]:
    return {part.name: np.zeros((rows, part.shape[1]), np.float32) for part in session.get_inputs()[1:]}


@pytest.mark.parametrize("rows", [1, 3])
def test_every_step_of_200_tokens_is_that_of_torch(session, char, rows):
    """From the same state each time: over many steps lively models make any rounding larger and larger."""
    model, step = session
    in_torch, state = Step(model), start(step, rows)
    tokens = torch.randint(4, char.vocab_size, (rows, 200), generator=torch.Generator().manual_seed(2))
    for token in tokens.split(1, dim=1):
        logits, *after = step.run(None, {"tokens": token.numpy(), **state})
        with torch.no_grad():
            expected, states = in_torch(token, tuple(map(torch.from_numpy, state.values())))
        for found, wanted in zip([logits, *after], [expected, *states], strict=True):
            wanted = wanted.numpy()
            largest = np.abs(wanted).max(
                axis=-1, keepdims=True
            )  # a sum in float32 is rounded against its terms
            worst = (np.abs(found - wanted) / np.maximum(largest, 1)).max()
            assert worst <= 1e-5
        state = dict(zip(state, after, strict=True))


def test_greedy_text_is_that_of_lmcore(session, char, documents):
    model, step = session
    for prompt in prompts(documents, 10):
        ids, state = char.encode_prompt(prompt), start(step, 1)
        wanted = lmcore.generate_ids(
            model, ids, lmcore.Sampling(temperature=0.0, max_new_tokens=10), char.eos_id, never=()
        )
        for at in range(len(ids) + len(wanted) - 1):
            logits, *after = step.run(None, {"tokens": np.array([[ids[at]]]), **state})
            state = dict(zip(state, after, strict=True))
            if at == len(ids) - 1:
                ids.append(int(logits[0].argmax()))
        assert ids[-len(wanted) :] == wanted


def test_the_exported_folder_holds_one_step_a_tokenizer_and_a_card_whose_code_runs(
    runtime, checkpoint, tmp_path, monkeypatch, capsys
):
    export_checkpoint(checkpoint, tmp_path / "out", "onnx")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {"README.md", "model.onnx", "record.json", "tokenizer.json"}
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.+?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path / "out")
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("The")


def test_names_and_shapes_of_inputs_and_outputs(session, char):
    model, step = session
    parts = 2 * model.layers[0].num_states
    assert [part.name for part in step.get_inputs()] == ["tokens", *(f"state_{i}" for i in range(parts))]
    assert [part.name for part in step.get_outputs()] == ["logits", *(f"new_state_{i}" for i in range(parts))]
    assert [part.shape for part in step.get_inputs()] == [["batch", 1], *[["batch", 16]] * parts]
    assert step.get_outputs()[0].shape == ["batch", char.vocab_size]


@pytest.mark.parametrize("name", NAMES)
def test_the_step_that_is_exported_is_the_model(name, char):
    model = lively(name, char)
    step = Step(model)
    tokens, state = step.example()
    tokens = torch.randint(4, char.vocab_size, (2, 5))
    expected, _ = model(tokens)
    for at in range(5):
        logits, state = step(tokens[:, at : at + 1], state)
        torch.testing.assert_close(logits, expected[:, at])


def test_a_transformer_is_refused(char, tmp_path):
    with pytest.raises(
        InputError, match="the model is a TransformerLM; as ONNX goes the step of a RecurrentLM"
    ):
        save_step(tmp_path / "model.onnx", lively("transformer", char))


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(char, tmp_path, monkeypatch, package):
    for name in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    with pytest.raises(InputError, match=f"ONNX needs the package {package}: pip install onnx onnxscript"):
        save_step(tmp_path / "out" / "model.onnx", lively("gru", char))
    assert not (tmp_path / "out").exists()
