"""A model of lmcore inside transformers: saved and loaded, its tokenizer, its loss, what it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from lively_models import NAMES, lively, prompts
from safetensors.torch import load_file, save_file
from test_tokenizer_pretrained import publish
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache

import lmcore
from lmcore.errors import InputError
from lmcore.interop import huggingface
from lmcore.interop.huggingface import LmcoreConfig, as_fast_tokenizer, as_transformers, save_for_transformers
from lmcore.loss import next_token_nats
from lmcore.step import tensors_in

transformers.utils.logging.disable_progress_bar()
each_model = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(params=NAMES)
def pair(request, char):
    """A model, and itself with its tokenizer in transformers."""
    model = lively(request.param, char)
    return model, *as_transformers(model, char)


@pytest.fixture
def gru(char):
    model = lively("gru", char)
    return model, *as_transformers(model, char)


@each_model
def test_saved_and_loaded_it_gives_equal_logits(name, char, documents, tmp_path):
    model = lively(name, char).float()
    save_for_transformers(tmp_path, model, char)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = torch.tensor([char.encode_prompt(documents[0][:40])])
    assert torch.equal(loaded(tokens).logits, model(tokens)[0])
    assert not loaded.training
    assert loaded.model.config == model.config
    assert loaded.num_parameters() == model.num_parameters
    if model.config.tie_weights:
        assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert loaded.generation_config.eos_token_id == char.eos_id
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.model_type, config.hidden_size, config.vocab_size) == ("lmcore", 16, char.vocab_size)
    assert config.tie_word_embeddings is model.config.tie_weights


def test_half_precision_and_saving_again(char, tmp_path):
    save_for_transformers(tmp_path / "one", lively("mingru", char).float(), char)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "one", dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    loaded.save_pretrained(tmp_path / "two")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "two")
    tokens = torch.tensor([char.encode_prompt("The boat")])
    assert torch.equal(again(tokens).logits, loaded(tokens).logits)


def test_the_tokenizer_gives_the_same_ids_and_texts(tokenizer, documents, tmp_path):
    as_fast_tokenizer(tokenizer).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*documents, "", " two  blanks\n", "an <eos> that is typed, a <pad>"]:
        ids = [tokenizer.bos_id, *tokenizer.encode(text)]
        assert loaded(text)["input_ids"] == ids
        assert loaded.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids)
    assert set(loaded("The")) == {"input_ids", "attention_mask"}
    for role in ("pad", "unk", "bos", "eos"):
        assert getattr(loaded, f"{role}_token_id") == getattr(tokenizer, f"{role}_id")
    assert (len(loaded), loaded.padding_side) == (tokenizer.vocab_size, "left")
    assert tokenizer.backend.get_added_tokens_decoder() == {}  # lmcore's own is untouched


def test_a_published_tokenizer_keeps_its_special_tokens(tmp_path, documents, char):
    publish(tmp_path, ["<end>", "<no>"], eos_token="<end>", unk_token="<no>")
    published = lmcore.pretrained(str(tmp_path))
    fast = as_fast_tokenizer(published)
    assert fast("naïve<end>")["input_ids"] == [published.bos_id, *published.encode("naïve<end>")]
    assert fast.pad_token_id == published.pad_id != fast.eos_token_id == published.eos_id


def padded(char, documents, side: str) -> tuple[torch.Tensor, torch.Tensor, list[list[int]]]:
    """Ids and mask of four pieces of text, and their ids."""
    rows = [char.encode_prompt(text) for text in prompts(documents, 4)]
    width = max(map(len, rows))
    pads = [[char.pad_id] * (width - len(row)) for row in rows]
    pairs = zip(pads, rows, strict=True)
    ids = torch.tensor([pad + row if side == "left" else row + pad for pad, row in pairs])
    return ids, (ids != char.pad_id).long(), rows


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_loss_is_that_of_lmcore(pair, char, documents, side):
    model, wrapped, _ = pair
    ids, mask, rows = padded(char, documents, side)
    nats, count = 0.0, 0
    for row in rows:
        inputs, targets = torch.tensor([row[:-1]]), torch.tensor([row[1:]])
        nats_of_row, count_of_row, _ = next_token_nats(model, inputs, targets, char.pad_id)
        nats, count = nats + nats_of_row, count + count_of_row
    expected = nats / count
    found = wrapped(ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100))
    torch.testing.assert_close(found.loss, expected)
    assert found.logits.shape == (*ids.shape, char.vocab_size)

    found.loss.backward()
    expected.backward()
    for ours, theirs in zip(model.parameters(), wrapped.model.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad)


def test_the_loss_is_what_cross_entropy_of_the_shifted_logits_is(gru, char, documents):
    _, wrapped, _ = gru
    ids, mask, _ = padded(char, documents, "right")
    labels = ids.masked_fill(mask == 0, -100)
    found = wrapped(ids, attention_mask=mask, labels=labels, return_dict=False)
    loss, logits, state = found
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(loss, expected)
    assert state.get_seq_length() == ids.shape[1]


def test_training_in_transformers_changes_the_weights_that_are_saved(gru, char, documents, tmp_path):
    model, wrapped, _ = gru
    ids, mask, _ = padded(char, documents, "left")
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.02)
    given = {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}
    before = wrapped(**given).loss
    wrapped.train()
    for _ in range(5):
        optimizer.zero_grad()
        wrapped(**given).loss.backward()
        optimizer.step()
    assert wrapped.eval()(**given).loss < before
    wrapped.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(ids).logits, wrapped(ids).logits)
    assert not torch.equal(wrapped(ids).logits, model(ids)[0])  # it was a copy


def test_only_the_last_logits_are_made_when_only_they_are_wanted(gru):
    _, wrapped, tokenizer = gru
    ids = tokenizer(["The boat"], return_tensors="pt")["input_ids"]
    whole, last = wrapped(ids), wrapped(ids, logits_to_keep=2, use_cache=False)
    torch.testing.assert_close(last.logits, whole.logits[:, -2:])
    assert last.logits.shape == (1, 2, wrapped.config.vocab_size)
    assert last.past_key_values is None
    [(_, state)] = whole.past_key_values.groups
    assert [tensor.shape for tensor in tensors_in(state)] == [(1, 16)] * 2


def test_bad_input_is_refused_with_the_value(gru, char):
    _, wrapped, tokenizer = gru
    ids = tokenizer(["The boat"], return_tensors="pt")["input_ids"]
    with pytest.raises(
        InputError, match=r"shape \(1, 3\); for input_ids of shape \(1, 9\) it must be \(1, 9 or"
    ):
        wrapped(ids, attention_mask=torch.ones(1, 3))
    with pytest.raises(InputError, match="past_key_values is a DynamicCache; it must be what this model"):
        wrapped(ids, past_key_values=DynamicCache())
    with pytest.raises(InputError, match=r"labels of shape \(1, 9\) hold 0 targets; at least 1 is needed"):
        wrapped(ids, labels=torch.full_like(ids, -100))
    right = torch.tensor([[2, 5, 6], [2, 7, char.pad_id]])
    with pytest.raises(InputError, match=r"row 1 of the attention mask ends with 0: .* pad on the left"):
        wrapped.generate(right, attention_mask=(right != char.pad_id).long(), max_new_tokens=3)
    with pytest.raises(
        InputError, match=f"the model has {char.vocab_size} tokens; a model of lmcore cannot get"
    ):
        wrapped.resize_token_embeddings(100)
    with pytest.raises(ValueError, match="assisted generation is not supported with stateful models"):
        wrapped.generate(ids, assistant_model=wrapped, max_new_tokens=3)


def test_other_models_and_kinds_are_refused(char, documents):
    with pytest.raises(InputError, match="the model is a UnigramLM; a checkpoint can hold RecurrentLM"):
        as_transformers(lmcore.UnigramLM(char.encode_documents(documents), char.vocab_size), char)
    with pytest.raises(InputError, match="kind is 'bigram'; it must be one of recurrent, transformer"):
        LmcoreConfig("bigram")
    with pytest.raises(InputError, match="cell is 'gruu'; it must be one of elman"):
        AutoModelForCausalLM.from_config(LmcoreConfig(vocab_size=9, cell="gruu"))


def test_a_fresh_model_starts_as_lmcore_starts_it():
    torch.manual_seed(4)
    found = AutoModelForCausalLM.from_config(LmcoreConfig(vocab_size=20, emb_dim=8, cell="lstm"))
    torch.manual_seed(4)
    expected = lmcore.RecurrentLM(lmcore.RNNConfig(vocab_size=20, emb_dim=8, cell="lstm"))
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor), name


@pytest.mark.parametrize("missing", ["model.layers.1.U", "model.embedding.weight", "all"])
def test_a_file_without_all_weights_is_refused(char, tmp_path, missing):
    save_for_transformers(tmp_path, lively("gru", char), char)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    kept = {name: tensor for name, tensor in weights.items() if missing not in ("all", name)}
    save_file(kept or {"other": torch.zeros(1)}, path, metadata={"format": "pt"})
    first = "model.embedding.weight" if missing == "all" else missing
    with pytest.raises(InputError, match=f"the weights hold no {first}"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


def test_lmcore_alone_does_not_import_transformers():
    look = "import sys, lmcore.__main__; sys.exit('transformers' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(lmcore.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", look], env=environment, check=False).returncode == 0


def test_an_older_transformers_is_refused():
    with pytest.raises(
        InputError, match=r"transformers is 4\.57\.1; this needs 5\.15 or newer: pip install -U"
    ):
        huggingface.check_version("4.57.1")
