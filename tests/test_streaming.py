"""Text that appears while it is written: always valid, never taken back, cut before a stop string."""

import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models
from torch import nn

import lmcore
from lmcore.errors import InputError
from lmcore.generate import generate, generate_batch, stream
from lmcore.sampling import Sampling
from lmcore.streaming import Characters, LiveText, StopStrings
from lmcore.tokenizer import SPECIALS, Tokenizer

GREEDY = Sampling(temperature=0.0, max_new_tokens=20)
TEXTS = st.text(st.sampled_from("ab é語\U0001f600\u0301\n"), max_size=12)


class Parrot(nn.Module):
    """Says the given ids one after the other, whatever it reads; counts its steps."""

    def __init__(self, ids: list[int], vocab_size: int):
        super().__init__()
        self.ids, self.vocab_size, self.steps = ids, vocab_size, 0

    def forward(self, tokens, state=None):
        place = 0 if state is None else int(state[0])
        self.steps += 1
        logits = torch.zeros(*tokens.shape, self.vocab_size)
        logits[..., self.ids[min(place, len(self.ids) - 1)]] = 9.0
        return logits, torch.full((len(tokens),), place + 1)


def parrot(text: str, tokenizer: Tokenizer) -> Parrot:
    return Parrot([*tokenizer.encode(text), tokenizer.eos_id], tokenizer.vocab_size)


@pytest.fixture(scope="module")
def pieces_tokenizer() -> Tokenizer:
    """As SentencePiece's: "▁" is a blank, the first one of a text goes, and a rare character is its bytes."""
    words = ["▁", "▁a", "b", "é", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocab = {token: i for i, token in enumerate([*SPECIALS, *words])}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True, unk_token="<unk>"))
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(parts)
    return Tokenizer(backend, "published", pad_id=0, unk_id=1, bos_id=2, eos_id=3)


def pushed(tokenizer: Tokenizer, prompt_ids: list[int], ids: list[int]) -> list[str]:
    characters = Characters(tokenizer, prompt_ids)
    return [*(characters.push(token_id) for token_id in ids), characters.rest()]


@given(prompt=TEXTS, text=TEXTS)
def test_pieces_are_whole_characters(bpe, prompt, text):
    prompt_ids, ids = bpe.encode_prompt(prompt), bpe.encode(text)
    pieces = pushed(bpe, prompt_ids, ids)
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces)
    assert pieces[-1] == ""  # nothing was held back at the end


@given(data=st.data())
@pytest.mark.parametrize("kind", ["char", "word", "bpe", "pieces_tokenizer"])
def test_pieces_together_are_the_whole_text(kind, data, request):
    """Any ids, so that bytes come in any order; with SentencePiece's, a run of them is one thing."""
    tokenizer = request.getfixturevalue(kind)
    ids = st.lists(st.integers(4, tokenizer.vocab_size - 1), max_size=12)
    prompt_ids, new_ids = data.draw(ids), data.draw(ids)
    if kind == "pieces_tokenizer":  # a prompt is a text: it does not end within a character
        prompt_ids = [2, *prompt_ids, 5]
    elif kind == "bpe":
        prompt_ids = [2, *tokenizer.encode("a")]
    pieces = pushed(tokenizer, prompt_ids, new_ids)
    whole = tokenizer.decode([*prompt_ids, *new_ids])
    assert tokenizer.decode(prompt_ids) + "".join(pieces) == whole
    assert all(piece.encode("utf-8").decode("utf-8") == piece for piece in pieces)


def test_a_character_waits_for_its_last_byte(bpe, pieces_tokenizer):
    ids = bpe.encode("語")
    assert len(ids) == 3
    assert pushed(bpe, [2], [*ids, *bpe.encode("a"), ids[0]]) == ["", "", "語", "a", "", "\ufffd"]
    first = pieces_tokenizer.backend.token_to_id("<0x00>")
    ids = [first + byte for byte in "語".encode()]
    assert pushed(pieces_tokenizer, [2, 5], [*ids, 6, 4]) == ["", "", "", "語b", " ", ""]


def test_the_cost_of_a_token_does_not_grow(bpe, monkeypatch):
    lengths, decode = [], Tokenizer.decode
    monkeypatch.setattr(Tokenizer, "decode", lambda self, ids: lengths.append(len(ids)) or decode(self, ids))
    characters = Characters(bpe, [2])
    for token_id in bpe.encode("The law is 語 good. " * 20):
        characters.push(token_id)
    assert max(lengths) <= 6


BYTES = st.lists(st.sampled_from([0x20, 0x41, 0x80, 0x98, 0x9F, 0xC0, 0xE2, 0xED, 0xF0, 0xFF]), max_size=20)


def byte_ids(kind: str, tokenizer: Tokenizer, content: bytes) -> list[int]:
    """A token for every byte."""
    if kind == "pieces_tokenizer":
        first = tokenizer.backend.token_to_id("<0x00>")
        return [first + byte for byte in content]
    spelling = bytes_to_unicode()
    return [tokenizer.backend.token_to_id(spelling[byte]) for byte in content]


def bytes_to_unicode() -> dict[int, str]:
    """How byte-level tokenizers spell bytes, by GPT-2's rule: what cannot be seen comes from 256 on."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + i) for i, byte in enumerate(others)}


@given(content=BYTES, others=st.lists(st.integers(4, 90), max_size=3))
@pytest.mark.parametrize("kind", ["bpe", "pieces_tokenizer"])
def test_bytes_in_any_order_are_shown_as_they_decode(kind, content, others, request):
    tokenizer = request.getfixturevalue(kind)
    prompt_ids = [2, *tokenizer.encode("a")] if kind == "bpe" else [2, 5]
    cut = len(content) // 2
    ids = byte_ids(kind, tokenizer, bytes(content))
    ids = [*ids[:cut], *others, *ids[cut:]]
    whole = tokenizer.decode([*prompt_ids, *ids])
    assert tokenizer.decode(prompt_ids) + "".join(pushed(tokenizer, prompt_ids, ids)) == whole


@pytest.mark.parametrize("kind", ["bpe", "pieces_tokenizer"])
def test_bytes_that_make_no_character_do_not_stop_the_text(kind, request):
    tokenizer = request.getfixturevalue(kind)
    characters = Characters(tokenizer, [2, 5])
    (wrong,) = byte_ids(kind, tokenizer, b"\x80")
    shown = ""
    for count in range(1, 100):
        shown += characters.push(wrong)
        assert count - 1 <= len(shown) <= count  # the last byte may wait
        assert len(characters.held) <= 3
    assert shown + characters.rest() == 99 * "\ufffd"


@given(content=BYTES)
def test_few_ids_are_held_whatever_the_bytes_are(bpe, content):
    characters, shown = Characters(bpe, [2]), ""
    ids = byte_ids("bpe", bpe, bytes(content))
    for count, token_id in enumerate(ids, start=1):
        shown += characters.push(token_id)
        assert len(characters.held) <= 3
        sure = bpe.decode(ids[:count]).removesuffix("\ufffd")
        assert shown == sure  # nothing waits but one character


def test_a_run_of_right_bytes_waits_and_one_wrong_byte_ends_the_waiting(pieces_tokenizer):
    ids = byte_ids("pieces_tokenizer", pieces_tokenizer, "語é".encode() + b"\xffA")
    assert pushed(pieces_tokenizer, [2, 5], ids) == ["", "", "", "", "", "\ufffd" * 6, "\ufffd", ""]
    assert pushed(pieces_tokenizer, [2, 5], [*ids, 6])[-2:] == ["b", ""]


def test_a_branch_goes_on_by_itself(char):
    text = LiveText(char, [2], ["the end"])
    for token_id in char.encode("at the"):
        text.push(token_id)
    branch = text.branch()
    for token_id in char.encode(" end"):
        branch.push(token_id)
    assert (branch.stopped, branch.text) == (True, "at ")
    assert (text.stopped, text.finish(), text.text) == (False, "the", "at the")


STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def cut_by_hand(text: str, stops: list[str]) -> tuple[str, bool]:
    """Character by character: the first moment at which the text ends with a stop string."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@given(pieces=st.lists(st.text("abc", max_size=5), max_size=8), stops=STOPS)
def test_a_stop_string_is_found_wherever_the_text_is_cut(pieces, stops):
    expected, stopped = cut_by_hand("".join(pieces), stops)
    watch, shown = StopStrings(stops), ""
    for piece in pieces:
        shown += watch.push(piece)
        assert expected.startswith(shown)  # nothing is shown that would have to be taken back
        assert not watch.held or any(stop.startswith(watch.held) for stop in stops)  # nor held for nothing
    assert watch.found == stopped
    assert shown + watch.held == expected


def test_what_may_be_a_stop_string_is_shown_when_it_is_none(char):
    text = LiveText(char, [2], ["the end"])
    shown = [text.push(token_id) for token_id in char.encode("the ennui")]
    assert shown == ["", "", "", "", "", "", "the enn", "u", "i"]
    assert [text.push(token_id) for token_id in char.encode(" the")] == [" ", "", "", ""]
    assert (text.finish(), text.stopped) == ("the", False)
    assert text.text == "the ennui the"


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ("d f", "The captain aske"),
        (["harbour", "d f", "for"], "The captain aske"),
        ("chart", "The captain asked for a "),
        ("The", "The captain asked for a chart"),  # they are looked for after the prompt only
        ((), "The captain asked for a chart"),
        ("no such", "The captain asked for a chart"),
    ],
)
def test_a_text_ends_before_a_stop_string(kind, stop, expected, request):
    tokenizer = request.getfixturevalue(kind)
    model = parrot(" captain asked for a chart", tokenizer)
    sampling = Sampling(temperature=0.0, max_new_tokens=40)
    assert generate(model, tokenizer, "The", sampling, stop) == expected
    assert "".join(stream(model, tokenizer, "The", sampling, stop)) == expected


def test_a_stop_string_ends_the_work(char):
    model = parrot("a ship at sea", char)
    (written,) = generate_batch(model, char, [""], GREEDY, stop="p a")
    assert (written.text, written.ended_by) == ("a shi", "stop")
    assert char.decode(written.ids) == "a ship a"
    assert model.steps == len(written.ids) == 8


def test_each_row_has_its_own_end(char):
    class Two(nn.Module):
        """The first row says "abc", the second "bca", and so on without end."""

        def forward(self, tokens, state=None):
            said = state if state is not None else torch.arange(len(tokens))
            ids = torch.tensor(char.encode("abc"))[said % 3]
            logits = nn.functional.one_hot(ids, char.vocab_size).float()
            return logits[:, None].expand(-1, tokens.shape[1], -1), said + 1

    found = generate_batch(Two(), char, ["", "", ""], GREEDY, stop=["ca", "cab"])
    assert [written.text for written in found] == ["ab", "b", ""]
    assert [len(written.ids) for written in found] == [4, 3, 2]


@pytest.mark.parametrize("seed", range(3))
def test_a_stream_is_the_text_in_pieces(tokenizer, seed):
    torch.manual_seed(seed)
    model = lmcore.RecurrentLM(lmcore.RNNConfig(tokenizer.vocab_size, emb_dim=8))
    sampling = Sampling(temperature=1.3, max_new_tokens=60, seed=seed)
    for stop in ((), ["e", "th"]):
        pieces = list(stream(model, tokenizer, "The", sampling, stop))
        assert pieces[0] == "The"
        assert "".join(pieces) == generate(model, tokenizer, "The", sampling, stop)
        assert "" not in pieces


def test_an_empty_prompt_begins_a_text(char):
    model = parrot("a ship", char)
    assert list(stream(model, char, "", GREEDY)) == ["a", " ", "s", "h", "i", "p"]
    assert generate(model, char, "", GREEDY) == "a ship"


def test_pieces_come_while_the_model_writes(char):
    model = parrot("a ship at sea", char)
    pieces = stream(model, char, "The", GREEDY)
    assert model.steps == 0
    assert [next(pieces) for _ in range(4)] == ["The", "a", " ", "s"]
    assert model.steps == 3


def test_a_stream_that_nobody_reads_to_its_end_leaves_the_model_as_it_was(char):
    model = lmcore.RecurrentLM(lmcore.RNNConfig(char.vocab_size, emb_dim=8)).train()
    stride = model.output.weight.stride()
    pieces = stream(model, char, "The", Sampling(max_new_tokens=30))
    assert [next(pieces), len(next(pieces))] == ["The", 1]
    assert not model.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    del pieces
    assert model.training
    assert model.output.weight.stride() == stride


def test_what_is_wrong_is_said_before_the_first_piece(char):
    model = parrot("a", char)
    for arguments, message in (
        (("ß",), "the prompt holds 'ß'"),
        (("The", Sampling(top_k=5000)), "top_k is 5000"),
        (("The", GREEDY, ["a", ""]), "a stop string has 0 characters; at least 1 is needed"),
        (("The", GREEDY, ""), "a stop string has 0 characters"),
    ):
        with pytest.raises(InputError, match=message):
            stream(model, char, *arguments)
        with pytest.raises(InputError, match=message):
            generate(model, char, *arguments)
    assert model.steps == 0
