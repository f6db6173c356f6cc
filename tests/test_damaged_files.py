"""What the fuzzers found, one test each: a field of the wrong kind, a size out of proportion, a message."""

import json

import pytest
import torch

import lmcore
from lmcore.checkpoint import CONFIG, load_checkpoint, save_checkpoint, sign_checkpoint
from lmcore.errors import InputError
from lmcore.ngram import NGramLM
from lmcore.record import load_record
from lmcore.tokenizer import load_tokenizer
from lmcore.tokens import HEADER_BYTES, token_file

DEEP = "[" * 5000 + "]" * 5000


def test_a_message_is_one_plain_line_whatever_the_file_holds():
    assert str(InputError("a\nb\x1b[31mc\ud800\u2028é")) == r"a\nb\x1b[31mc\ud800\u2028é"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pad_id": 10**6}, r"pad_id is 1000000; it must be in \[0, V\)"),
        ({"eos_id": -1}, r"eos_id is -1; it must be in \[0, V\)"),
        ({"colour": 1}, "it must hold kind, backend, pad_id, unk_id, bos_id, eos_id and nothing else"),
        ({"bos_id": "2"}, ""),  # here the type checks of conftest.py come first, and say it otherwise
        ({"bos_id": True}, ""),
        ({"pad_id": None}, ""),
        ({"kind": 5}, ""),
    ],
)
def test_a_field_of_a_tokenizer_file_is_checked(char, tmp_path, change, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(char.to_json()) | change))
    message = message.replace("V", str(char.vocab_size))
    with pytest.raises(InputError, match=rf"tokenizer\.json is not a tokenizer saved by lmcore: {message}"):
        load_tokenizer(path)


def test_a_tokenizer_file_without_an_unknown_token_is_fine(char, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(char.to_json()) | {"unk_id": None}))
    assert load_tokenizer(path).unk_id is None


@pytest.fixture
def saved(char, tmp_path):
    """Folder of a checkpoint, and a function that changes its configuration and signs it again."""
    model = lmcore.RecurrentLM(lmcore.RNNConfig(vocab_size=char.vocab_size, emb_dim=8))
    save_checkpoint(tmp_path, model, char)

    def change(**changes):
        path = tmp_path / CONFIG
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        sign_checkpoint(tmp_path)

    return tmp_path, change


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": 2**31}, "does not fit its configuration: 2147483648 layers, but 9 tensors"),
        ({"emb_dim": 2**31}, r"the embedding is \[\d+, 8\], not \[\d+, 2147483648\]"),
        ({"pad_id": 0.0}, "pad_id"),
        ({"colour": "blue"}, r"config\.json is not a model configuration: no model has 'colour'"),
    ],
)
def test_a_configuration_is_checked_before_a_model_is_made(saved, monkeypatch, changes, message):
    folder, change = saved
    change(**changes)
    monkeypatch.setattr("lmcore.rnn.RecurrentLM.__init__", None)  # not to be called
    with pytest.raises(InputError, match=message):
        load_checkpoint(folder)


def test_a_deeply_nested_file_is_refused(tmp_path, char):
    path = tmp_path / "deep.json"
    path.write_text(DEEP)
    for load in (load_record, load_tokenizer):
        with pytest.raises(InputError, match="recursion"):
            load(path)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"settings": {}}', '{"settings": {}, "environment": {}, "x": 1}']
)
def test_a_record_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(InputError, match="is not a run record: it must hold environment, samples, settings"):
        load_record(path)


@pytest.mark.parametrize(
    "changes",
    [{"dtype": "O"}, {"dtype": ["uint16"]}, {"num_tokens": -1}, {"num_tokens": 1.5}, {"num_documents": None}],
)
def test_a_header_of_a_token_file_is_checked(char, documents, tmp_path, changes):
    def open_file() -> lmcore.Tokens:
        return token_file(char, documents, {"corpus": "tiny"}, tmp_path)

    open_file()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    header = json.dumps(json.loads(content[:HEADER_BYTES]) | changes).encode()
    for damaged in (header, DEEP.encode()[:HEADER_BYTES]):
        path.write_bytes(damaged.ljust(HEADER_BYTES) + content[HEADER_BYTES:])
        with pytest.raises(InputError, match="is not a token file; delete it and run again"):
            open_file()


def test_a_changed_byte_of_an_ngram_model_is_noticed(char, documents, tmp_path):
    path = tmp_path / "ngrams.safetensors"
    model = lmcore.kneser_ney(char.encode_documents(documents), char.vocab_size, order=2)
    model.save(path)
    content = path.read_bytes()
    found = NGramLM.load(path).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
    for at in (3, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(InputError, match=r"ngrams\.safetensors is not an n-gram model: .* damaged"):
            NGramLM.load(path)
