"""Any Unicode text goes through every tokenizer and comes back, or is known to be unknown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lmcore.errors import InputError
from lmcore.tokenizer import Tokenizer, tokenizer_from_json, train_bpe, train_char, train_word

HARD = {
    "NUL": "a\0b\0",
    "control characters": "\x01\x1b[31m\x7f\x85\x9f",
    "every line end": "a\r\nb\rc\nd\x0be\x0cf\x1cg\u2028h\u2029i",
    "empty lines": "a\n\n\nb\r\n\r\n\t\t",
    "blanks": "a\u00a0b\u2009c\u3000d\u200be\ufefff  \t ",
    "combining marks": "e\u0301 and \u00e9, \u0e01\u0e33, a" + "\u0300" * 40,
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202eabc\u202c \u0645\u0631\u062d\u0628\u0627 123\u200f",
    "joined emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308",
    "flags and skins": "\U0001f1e9\U0001f1ea\U0001f44d\U0001f3fd 1\ufe0f\u20e3",
    "no characters": "\uffff\ufffe\ufdd0\U0001fffe\U0010ffff\ufffd",
    "private use": "\ue000\uf8ff\U000f0000",
    "marks of other tokenizers": "\u2581\u0120\u010a##a@@ </w> <0xE2> <|endoftext|>",
    "special tokens": "<pad><unk> <bos>\n<eos>",
    "folding": "\u0130\u0131\u1e9e\ufb01\u01c5\u212b\u00b5\u03c2",
    "nothing": "",
}
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SURROGATE = "\ud800"


def with_hard_examples(test):
    for text in HARD.values():
        test = example(text)(test)
    return test


def comes_back(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert int(tokenizer.token_bytes()[ids].sum()) == len(text.encode())
    assert not set(ids) & set(tokenizer.special_ids)
    assert tokenizer.encode_prompt(text) == [tokenizer.bos_id, *ids]
    assert tokenizer.encode_documents([text])[0].tolist() == [tokenizer.bos_id, *ids, tokenizer.eos_id]


@with_hard_examples
@given(ANY_TEXT)
def test_bpe_gives_back_any_text(bpe, text):
    comes_back(bpe, text)


@with_hard_examples
@given(ANY_TEXT)
@pytest.mark.parametrize("train", [train_char, train_word, train_bpe])
def test_each_tokenizer_gives_back_what_it_learnt_from(train, text):
    tokenizer = train([text])
    comes_back(tokenizer, text)
    comes_back(tokenizer_from_json(tokenizer.to_json(), source="itself"), text)


@with_hard_examples
@given(ANY_TEXT)
def test_an_unseen_character_is_one_unknown_token(char, text):
    known = set(char.backend.get_vocab()) - {"<pad>", "<unk>", "<bos>", "<eos>"}
    ids = char.encode(text)
    assert [i == char.unk_id for i in ids] == [character not in known for character in text]
    assert char.decode(ids) == "".join(character for character in text if character in known)


@with_hard_examples
@given(ANY_TEXT)
@pytest.mark.parametrize("kind", ["char", "word"])
def test_a_prompt_is_refused_exactly_if_a_piece_of_it_is_unknown(request, kind, text):
    tokenizer = request.getfixturevalue(kind)
    ids = tokenizer.encode(text)
    if tokenizer.unk_id not in ids:
        comes_back(tokenizer, text)
        return
    with pytest.raises(InputError, match=r"the prompt holds .* which is not among the"):
        tokenizer.encode_prompt(text)


@given(st.lists(st.sampled_from([" old", " clock", " zebra", " e\u0301", " 語", "\n"])))
def test_an_unseen_word_is_one_unknown_token_and_the_others_stay(word, pieces):
    vocab = word.backend.get_vocab()
    assert " zebra" not in vocab
    assert " old" in vocab
    ids = word.encode("".join(pieces))
    assert ids == [vocab.get(piece, word.unk_id) for piece in pieces]
    assert word.decode(ids) == "".join(piece for piece in pieces if piece in vocab)


@pytest.mark.parametrize("piece", ["a", "é", "語", "\U0001f468\u200d", " \n", "ab "], ids=ascii)
def test_a_very_long_text_comes_back(bpe, piece):
    comes_back(bpe, piece * (300_000 // len(piece)))


@pytest.mark.parametrize("text", [SURROGATE, f"a{SURROGATE}b", "\udcff", "\udc00\ud800"], ids=ascii)
def test_half_a_surrogate_pair_is_refused(tokenizer, text):
    with pytest.raises(InputError, match=r"the text holds '\\ud.*: not UTF-8, or half of a surrogate pair"):
        tokenizer.encode(text)
    with pytest.raises(InputError, match="half of a surrogate pair"):
        tokenizer.encode_prompt(text)
    with pytest.raises(InputError, match="half of a surrogate pair"):
        tokenizer.encode_documents(["fine", text])


@pytest.mark.parametrize("train", [train_char, train_word, train_bpe])
def test_no_tokenizer_learns_from_half_a_surrogate_pair(train):
    with pytest.raises(InputError, match="at character 2: not UTF-8, or half of a surrogate pair"):
        train(["fine", f"ab{SURROGATE}"])


def test_a_prompt_that_is_not_utf8_is_one_line(run, checkpoint):
    status, _, errors = run("generate", "--checkpoint", checkpoint, "--prompt", "caf\udce9")
    assert (status, errors.count("\n")) == (2, 1)
    assert errors.startswith("lmcore: the text holds '\\udce9' at character 3")
