"""Tokenizers give back the text they were given, count its bytes, and know their special tokens."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.errors import InputError
from lmcore.hub import make_tokenizer
from lmcore.tokenizer import SPECIALS, load_tokenizer, train_bpe, train_char, train_word

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # surrogates have no UTF-8
SPECIAL_TEXT = "It says <eos> here, <pad> there, <unk><bos>!"


def byte_length(tokenizer, ids) -> int:
    return int(tokenizer.token_bytes()[ids].sum())


@given(ANY_TEXT)
def test_bpe_gives_back_any_text(bpe, text):
    ids = bpe.encode(text)
    assert bpe.decode(ids) == text
    assert byte_length(bpe, ids) == len(text.encode())


@given(st.data())
def test_char_gives_back_any_text_of_characters_it_has_seen(char, documents, data):
    text = data.draw(st.text(sorted(set("".join(documents)))))
    ids = char.encode(text)
    assert len(ids) == len(text)
    assert char.decode(ids) == text
    assert byte_length(char, ids) == len(text.encode())


def test_every_tokenizer_gives_back_its_training_text(tokenizer, documents):
    for text in documents:
        ids = tokenizer.encode(text)
        assert tokenizer.unk_id not in ids
        assert tokenizer.decode(ids) == text
        assert byte_length(tokenizer, ids) == len(text.encode())


@given(st.text("ab▁é <0xE>\n_’'", max_size=30))
def test_marks_of_other_tokenizers_are_plain_text_here(text):
    for train in (train_char, train_word):
        tokenizer = train([text])
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert byte_length(tokenizer, ids) == len(text.encode())


def test_words_own_the_blank_before_them():
    text = "It's he’s  wise... (law) \n\n law"
    pieces = ["It's", " he’s", " ", " wise", "...", " (", "law", ")", " ", "\n", "\n", " law"]
    tokenizer = train_word([text])
    assert tokenizer.tokens(tokenizer.encode(text)) == pieces


def test_word_keeps_the_most_frequent():
    small = train_word(["a b b c c c d"], vocab_size=len(SPECIALS) + 2)
    assert small.vocab_size == 6
    assert small.tokens(small.encode("a b c")) == ["<unk>", " b", " c"]


def test_special_tokens_come_first(tokenizer):
    assert tokenizer.tokens(range(4)) == SPECIALS
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    assert tokenizer.special_ids == [0, 1, 2, 3]
    assert byte_length(tokenizer, tokenizer.special_ids) == 0


def test_special_tokens_typed_in_a_text_stay_text(documents):
    for train in (train_char, train_word, train_bpe):
        tokenizer = train([*documents, *[SPECIAL_TEXT] * 50])
        ids = tokenizer.encode(SPECIAL_TEXT)
        assert not {0, 1, 2, 3} & set(ids)
        assert tokenizer.decode(ids) == SPECIAL_TEXT


def test_documents_run_from_bos_to_eos(tokenizer, documents):
    many = documents * 3  # more than are encoded at once
    encoded = tokenizer.encode_documents(many)
    assert len(encoded) == len(many)
    for text, ids in zip(many, encoded, strict=True):
        assert ids.dtype == np.int32
        assert ids.tolist() == [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]
    assert tokenizer.decode(encoded[0]) == documents[0]


def test_prompt(tokenizer, documents):
    prompt = documents[2][:7]  # "The old"
    assert tokenizer.encode_prompt(prompt) == [tokenizer.bos_id, *tokenizer.encode(prompt)]
    assert tokenizer.encode_prompt("") == [tokenizer.bos_id]


def test_prompt_with_an_unknown_piece_is_refused(char, word, bpe):
    with pytest.raises(InputError, match=rf"holds 'ß', .* {char.vocab_size} tokens of this char tokenizer"):
        char.encode_prompt("Straße")
    with pytest.raises(InputError, match=r"holds ' xylophone', .* of this word tokenizer"):
        word.encode_prompt("The xylophone")
    assert bpe.decode(bpe.encode_prompt("Straße")) == "Straße"


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_training_twice_gives_the_same_tokenizer(kind, documents):
    one, other = (make_tokenizer(kind, documents, vocab_size=350) for _ in range(2))
    assert one.kind == kind
    assert one.backend.to_str() == other.backend.to_str()
    assert one.vocab_size <= 350


def test_save_and_load(tokenizer, documents, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    for name in ("kind", "pad_id", "unk_id", "bos_id", "eos_id", "vocab_size"):
        assert getattr(loaded, name) == getattr(tokenizer, name)
    text = documents[16] + SPECIAL_TEXT.replace("!", "")
    assert loaded.encode(text) == tokenizer.encode(text)
    assert loaded.decode(loaded.encode(documents[16])) == documents[16]
    assert np.array_equal(loaded.token_bytes(), tokenizer.token_bytes())


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"backend": {}}', "backend", "kind"])
def test_a_damaged_tokenizer_file_is_refused(damage, char, tmp_path):
    path = tmp_path / "tokenizer.json"
    char.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    if damage in content:
        del content[damage]
        damage = json.dumps(content)
    path.write_text(damage)
    with pytest.raises(InputError, match=r"tokenizer\.json is not a tokenizer saved by lmcore"):
        load_tokenizer(path)
    with pytest.raises(InputError, match="there is no tokenizer at"):
        load_tokenizer(tmp_path / "missing.json")


@pytest.mark.parametrize(("train", "least"), [(train_bpe, 260), (train_word, 5)])
def test_a_vocabulary_too_small_is_refused(train, least, documents):
    with pytest.raises(InputError, match=f"vocab_size is {least - 1}, .* at least {least}"):
        train(documents, vocab_size=least - 1)
    assert train(documents, vocab_size=least).vocab_size == least


def test_groups_are_bounded_by_characters_and_lose_nothing(char, documents, monkeypatch):
    monkeypatch.setattr("lmcore.tokenizer.CHARACTERS_AT_ONCE", 300)
    groups = list(char.encode_groups(iter(documents)))
    assert len(groups) > 5
    lengths = [[len(ids) - 2 for ids in group] for group in groups]  # without <bos> and <eos>
    assert all(sum(group[:-1]) < 300 for group in lengths)
    assert all(sum(group) >= 300 for group in lengths[:-1])
    assert [char.decode(ids) for group in groups for ids in group] == documents
    assert list(char.encode_groups([])) == []


@pytest.mark.parametrize("train", [train_bpe, train_word])
def test_of_a_large_corpus_every_kth_document_is_learnt_from(train, documents, monkeypatch):
    everything, expected = (train(texts, vocab_size=300) for texts in (documents, documents[::3]))
    monkeypatch.setattr("lmcore.tokenizer.TRAINING_CHARACTERS", sum(map(len, documents)) // 3 + 1)
    third = train(documents, vocab_size=300)
    assert third.backend.to_str() == expected.backend.to_str()
    assert third.backend.to_str() != everything.backend.to_str()


def test_char_learns_from_all_documents_whatever_their_number(documents, monkeypatch):
    monkeypatch.setattr("lmcore.tokenizer.TRAINING_CHARACTERS", 1)
    assert train_char(iter([*documents, "\N{SNOWMAN}"])).encode("\N{SNOWMAN}") != [1]
