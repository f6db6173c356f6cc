"""Published tokenizers, saved here as transformers publishes them: padding of their own, no network."""

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from lmcore.errors import InputError
from lmcore.hub import make_tokenizer, pretrained
from lmcore.tokenizer import load_tokenizer


def publish(folder, own_specials: list[str], **roles) -> None:
    """Save a byte-level tokenizer as transformers publishes them."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*alphabet, *own_specials])}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=backend, **roles).save_pretrained(folder)


@pytest.mark.parametrize(
    ("own_specials", "roles", "expected"),
    [  # ids: 256 bytes, then the special tokens in their order; expected: pad, unk, bos, eos, V
        (["<end>"], {"eos_token": "<end>", "pad_token": "<end>"}, (257, None, 256, 256, 258)),
        (["<end>"], {"eos_token": "<end>"}, (257, None, 256, 256, 258)),
        (["<end>", "<no>"], {"eos_token": "<end>", "unk_token": "<no>"}, (257, None, 256, 256, 258)),
        (["<end>"], {"eos_token": "<end>", "unk_token": "<end>"}, (257, None, 256, 256, 258)),
        (
            ["<s>", "</s>", "<fill>", "<no>"],
            {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<fill>", "unk_token": "<no>"},
            (258, 259, 256, 257, 260),
        ),
    ],
    ids=["pad is eos", "no pad", "no pad but unk", "unk is eos", "all four"],
)
def test_a_published_tokenizer_gets_padding_of_its_own(tmp_path, own_specials, roles, expected):
    publish(tmp_path, own_specials, **roles)
    found = pretrained(str(tmp_path))
    assert (found.pad_id, found.unk_id, found.bos_id, found.eos_id, found.vocab_size) == expected
    assert found.pad_id != found.eos_id
    text = "naïve ▁ <0xE2>\n"
    assert found.decode(found.encode(text)) == text
    assert found.token_bytes()[found.encode(text)].sum() == len(text.encode())
    found.save(tmp_path / "saved.json")
    assert load_tokenizer(tmp_path / "saved.json").special_ids == found.special_ids


def test_a_published_tokenizer_without_an_end_is_refused(tmp_path):
    publish(tmp_path, ["<no>"], unk_token="<no>")
    with pytest.raises(InputError, match="no end-of-sequence token"):
        pretrained(str(tmp_path))


@pytest.mark.parametrize("damage", ["{}", "[", '{"version": "1.0"}'])
def test_a_damaged_published_tokenizer_is_refused(tmp_path, damage):
    publish(tmp_path, ["<end>"], eos_token="<end>")
    (tmp_path / "tokenizer.json").write_text(damage)
    with pytest.raises(InputError, match="is neither char, word, bpe"):
        pretrained(str(tmp_path))


@pytest.mark.parametrize("name", ["no-such-tokenizer", "nobody/no-such-tokenizer", "/no/such/folder", ""])
def test_a_name_that_nobody_has_is_refused_without_the_network(name):
    import huggingface_hub.constants

    assert huggingface_hub.constants.HF_HUB_OFFLINE  # set in conftest.py
    with pytest.raises(InputError) as caught:
        make_tokenizer(name, ["text"])
    message = str(caught.value)
    assert message.startswith(f"tokenizer {name!r} is neither char, word, bpe")
    assert "\n" not in message


def test_the_hub_is_asked_only_where_its_name_can_be_looked_up(tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    publish(tmp_path, ["<end>"], eos_token="<end>")
    load, asked = AutoTokenizer.from_pretrained, []

    def look(name, **options):
        asked.append(not options["local_files_only"])
        return load(name, **options)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", look)
    monkeypatch.setattr("lmcore.hub.getproxies", dict)
    pretrained(str(tmp_path))  # no test can look up names
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [])
    pretrained(str(tmp_path))
    monkeypatch.undo()
    assert asked == [False, True]


def test_a_limit_that_a_tokenizer_was_published_with_cuts_nothing(tmp_path):
    publish(tmp_path, ["<end>"], eos_token="<end>")
    backend = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    backend.enable_truncation(5)
    backend.enable_padding(length=9, pad_id=256, pad_token="<end>")
    backend.save(str(tmp_path / "tokenizer.json"))
    found = pretrained(str(tmp_path))
    assert len(found.encode("abcdefg")) == 7
    assert len(found.encode("ab")) == 2
