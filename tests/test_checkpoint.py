"""A saved model is the same model; a folder whose files do not belong together is refused."""

import copy
import json
import math
import os

import pytest
import torch

from lmcore.checkpoint import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    kind_of,
    load_checkpoint,
    save_checkpoint,
    sign_checkpoint,
)
from lmcore.errors import InputError
from lmcore.gpt import GPTConfig, TransformerLM
from lmcore.record import committed
from lmcore.rnn import RecurrentLM, RNNConfig


@pytest.fixture
def saved(char, tmp_path):
    """A model of width 8 with its tokenizer, saved; returns the folder and the model."""
    model = RecurrentLM(RNNConfig(vocab_size=char.vocab_size, emb_dim=8, dropout=0.5))
    save_checkpoint(tmp_path / "deep" / "folder", model, char)
    return tmp_path / "deep" / "folder", model


def change_config(folder, **changes) -> None:
    """On purpose: the checksums are right again."""
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    sign_checkpoint(folder)


@pytest.mark.parametrize("tie_weights", [False, True])
def test_save_and_load_give_equal_logits(tokenizer, tmp_path, tie_weights):
    config = RNNConfig(vocab_size=tokenizer.vocab_size, emb_dim=8, dropout=0.2, tie_weights=tie_weights)
    model = RecurrentLM(config).train()
    torch.nn.init.normal_(model.output.bias)
    save_checkpoint(tmp_path, model, tokenizer)
    loaded, loaded_tokenizer = load_checkpoint(tmp_path)
    tokens = torch.tensor([tokenizer.encode_prompt("The boat")])
    assert torch.equal(loaded(tokens)[0], model.eval()(tokens)[0])
    assert loaded.config == config
    assert not loaded.training
    assert loaded_tokenizer.encode("The boat") == tokenizer.encode("The boat")
    shared = loaded.output.weight.data_ptr() == loaded.embedding.weight.data_ptr()
    assert shared is tie_weights


def test_a_transformer_comes_back_as_one(char, tmp_path):
    config = GPTConfig(vocab_size=char.vocab_size, emb_dim=8, num_heads=2, context=3, tie_weights=True)
    model = TransformerLM(config)
    save_checkpoint(tmp_path, model, char)
    assert json.loads((tmp_path / CONFIG).read_text())["model"] == "transformer"
    loaded, _ = load_checkpoint(tmp_path)
    tokens = torch.tensor([char.encode_prompt("The boat")])
    assert loaded.config == config
    assert torch.equal(loaded(tokens)[0], model.eval()(tokens)[0])


def test_a_file_from_before_there_were_two_kinds_holds_a_recurrent_model(saved):
    folder, model = saved
    fields = json.loads((folder / CONFIG).read_text())
    assert fields.pop("model") == "recurrent"
    (folder / CONFIG).write_text(json.dumps(fields))
    sign_checkpoint(folder)
    assert load_checkpoint(folder).model.config == model.config
    assert "model" not in json.loads((committed("elman_2x256") / CONFIG).read_text())
    assert load_checkpoint(committed("elman_2x256")).model.config.cell == "elman"


@pytest.mark.parametrize(
    ("kind", "message"),
    [("bigram", "model is 'bigram'; it must be one of recurrent, transformer"), (["x"], "unhashable")],
)
def test_an_unknown_kind_of_model_is_refused(saved, kind, message):
    folder, _ = saved
    change_config(folder, model=kind)
    with pytest.raises(InputError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_refused_with_their_name(saved, char, number):
    folder, model = saved
    with torch.no_grad():
        model.output.weight[5, :3] = number
    save_checkpoint(folder, model, char)
    of = model.output.weight.numel()
    expected = f"{WEIGHTS}: output.weight holds 3 of {of} numbers that are NaN or infinite"
    with pytest.raises(InputError, match=expected):
        load_checkpoint(folder)


def test_saving_again_replaces_the_files_and_leaves_no_others(saved, char):
    folder, _ = saved
    other = RecurrentLM(RNNConfig(vocab_size=char.vocab_size, emb_dim=4))
    save_checkpoint(str(folder), other, char)
    assert load_checkpoint(str(folder)).model.config.emb_dim == 4
    assert sorted(os.listdir(folder)) == sorted([CONFIG, WEIGHTS, TOKENIZER])


def test_a_write_that_fails_leaves_the_old_file_whole(saved, char, monkeypatch):
    folder, model = saved
    before = (folder / WEIGHTS).read_bytes()

    def stop_halfway(model, path):
        with open(path, "wb") as file:
            file.write(before[:50])
        raise OSError("disk full")

    monkeypatch.setattr("lmcore.checkpoint.save_model", stop_halfway)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(folder, model, char)
    assert (folder / WEIGHTS).read_bytes() == before


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, TOKENIZER])
def test_a_missing_file_is_refused(saved, name):
    folder, _ = saved
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"is not a checkpoint: it has no {name}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("size", [0, 4, 200, -5])
def test_truncated_weights_are_refused(saved, size):
    folder, _ = saved
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:size])
    sign_checkpoint(folder)
    with pytest.raises(InputError, match=rf"{WEIGHTS} does not fit its configuration: .*header") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_weights_of_another_size_are_refused_with_both_sizes(saved):
    folder, model = saved
    vocab_size = model.config.vocab_size
    change_config(folder, emb_dim=9)
    with pytest.raises(InputError, match=rf"\[{vocab_size}, 8\].*\[{vocab_size}, 9\]") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"num_layers": 3}, {"num_layers": 1}, {"tie_weights": True}])
def test_weights_of_another_shape_are_refused(saved, changes):
    folder, _ = saved
    change_config(folder, **changes)
    with pytest.raises(InputError, match="does not fit its configuration"):
        load_checkpoint(folder)


def test_a_configuration_with_another_vocabulary_is_refused_with_both_numbers(saved, char):
    folder, _ = saved
    change_config(folder, vocab_size=77)
    with pytest.raises(InputError, match=f"tokenizer has {char.vocab_size} tokens, .* vocab_size is 77"):
        load_checkpoint(folder)


def test_a_tokenizer_of_another_size_is_refused_with_both_numbers(saved, char, bpe):
    folder, _ = saved
    bpe.save(folder / TOKENIZER)
    sign_checkpoint(folder)
    expected = f"tokenizer has {bpe.vocab_size} tokens, .* vocab_size is {char.vocab_size}"
    with pytest.raises(InputError, match=expected):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", b"\xff\xfe"])
def test_a_damaged_configuration_is_refused(saved, content):
    folder, _ = saved
    (folder / CONFIG).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"config\.json is not a model configuration"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, TOKENIZER])
def test_a_changed_byte_is_noticed_in_each_file(saved, name):
    folder, _ = saved
    content = bytearray((folder / name).read_bytes())
    at = content.index(b"8") if name == CONFIG else len(content) * 2 // 3  # "emb_dim": 8
    content[at] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} was changed after it was saved: its SHA-256 is \w{{64}}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("sums", [None, [], "x", {}, {WEIGHTS: 3}, {WEIGHTS: []}, {WEIGHTS: [3]}])
def test_damaged_checksums_are_refused(saved, sums):
    folder, _ = saved
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": sums}))
    with pytest.raises(InputError, match=r"config\.json (is not a model configuration|was changed after)"):
        load_checkpoint(folder)


def test_a_folder_without_checksums_loads_only_when_somebody_has_signed_it(saved):
    folder, model = saved
    signed = (folder / CONFIG).read_bytes()
    others = {name: (folder / name).read_bytes() for name in (WEIGHTS, TOKENIZER)}
    fields = json.loads(signed)
    del fields["sha256"]
    (folder / CONFIG).write_text(json.dumps(fields))
    with pytest.raises(InputError, match=r"holds no checksums, .*; lmcore\.sign_checkpoint writes them"):
        load_checkpoint(folder)
    sign_checkpoint(folder)
    assert load_checkpoint(folder).model.config == model.config
    assert (folder / CONFIG).read_bytes() == signed
    assert {name: (folder / name).read_bytes() for name in others} == others
    load_checkpoint(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match=f"has no {WEIGHTS}"):
        sign_checkpoint(folder)


@pytest.mark.parametrize("at", range(6))  # before and after: configuration, weights, configuration
def test_a_process_that_is_killed_while_saving_leaves_a_model_that_loads(saved, char, monkeypatch, at):
    """Either the old weights or the new ones: the configuration knows both in between."""
    folder, old = saved
    new = copy.deepcopy(old)
    torch.nn.init.normal_(new.output.bias)
    replace, calls = os.replace, []

    class Killed(BaseException):
        pass

    def dying_replace(source, target):
        calls.append(1)
        if len(calls) > at // 2:
            if at % 2:  # after the file has its new name
                replace(source, target)
            raise Killed
        replace(source, target)

    monkeypatch.setattr("lmcore.durable.os.replace", dying_replace)
    with pytest.raises(Killed):
        save_checkpoint(folder, new, char)
    monkeypatch.undo()
    found = load_checkpoint(folder).model.output.bias
    assert torch.equal(found, old.output.bias) or torch.equal(found, new.output.bias)
    assert torch.equal(found, new.output.bias) == (at > 2)


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(InputError, match="is a Linear; a checkpoint can hold RecurrentLM, TransformerLM"):
        kind_of(torch.nn.Linear(2, 2))


def test_a_value_out_of_range_in_the_configuration_is_refused(saved):
    folder, _ = saved
    change_config(folder, dropout=1.0)
    with pytest.raises(InputError, match=r"dropout is 1\.0"):
        load_checkpoint(folder)
