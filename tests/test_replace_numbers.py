"""Numbers replaced by a word, in the tokenizer; and the reference course's set-up in one command."""

import re

import pytest
import tokenizers
from archives import json_lines
from tokenizers import decoders, models, normalizers

import lmcore
from benchmarks.setting import NUM_PARAMETERS, REFERENCE
from lmcore.arguments import make_parser, parse
from lmcore.hub import make_tokenizer, pretrained
from lmcore.normalize import number_normalizer, replace_numbers
from lmcore.tokenizer import load_tokenizer

TEXTS = ["In 1999, 12 of 3.5 million\n" * 20, "Route 66 & R2D2\n" * 20, "no numbers\n" * 20]
REFERENCE_TOKENS = REFERENCE.vocab_size  # 32,011


def replaced(text: str) -> str:
    """By Python's own regular expressions."""
    return re.sub(r"\d+", "###", text)


@pytest.mark.parametrize(
    "text", ["", "7", "a1b22c333", "3.14", "-5", "٣٤ and ४५", "１２", "x² ½ Ⅻ", "12\n34"]
)
def test_it_is_what_the_reference_does(text):
    assert number_normalizer("###").normalize_str(text) == replaced(text)
    assert number_normalizer(r"\1$1").normalize_str("a 12") == r"a \1$1"  # the word is taken as it is
    assert number_normalizer("").normalize_str("a 12") == "a "


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_a_trained_tokenizer_sees_no_digit(kind, tmp_path):
    tokenizer = make_tokenizer(kind, TEXTS, vocab_size=300, numbers="###")
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert tokenizer.unk_id not in ids
        assert tokenizer.decode(ids) == replaced(text)
        assert tokenizer.token_bytes()[ids].sum() == len(replaced(text).encode())
        assert tokenizer.encode_documents([text])[0].tolist()[1:-1] == ids
        assert tokenizer.encode_prompt(text)[1:] == ids
    if kind != "bpe":  # whose alphabet is all bytes
        assert not any(re.search(r"\d", token) for token in tokenizer.tokens(range(tokenizer.vocab_size)))
    tokenizer.save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path / "tokenizer.json").encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])
    assert tokenizer.to_json() != make_tokenizer(kind, TEXTS, vocab_size=300).to_json()


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_numbers_stay_where_nobody_asks(kind):
    tokenizer = make_tokenizer(kind, TEXTS, vocab_size=300)
    assert tokenizer.decode(tokenizer.encode(TEXTS[0])) == TEXTS[0]


def test_a_prompt_is_refused_by_its_own_piece(documents):
    tokenizer = make_tokenizer("char", ["abc 5"], numbers="###")
    with pytest.raises(lmcore.InputError, match="the prompt holds '語', which is not among"):
        tokenizer.encode_prompt("123 語")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory) -> str:
    """A folder like that of the reference's tokenizer: as many tokens of the same kinds, and no words.

    32,000 pieces (three special, 256 bytes, then pieces with the mark for a blank) and 11 added ones; the
    end of a text is also its padding.
    """
    from transformers import PreTrainedTokenizerFast

    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "#",
        "▁#",
        "##",
        "▁###",
    ]
    letters = [chr(code) for code in (*range(0x21, 0x7F), *range(0xA1, 0x180)) if chr(code) != "#"]
    pieces += letters
    pieces += [f"▁{i}x" for i in range(32_000 - len(pieces))]
    merges = [("▁", "#"), ("#", "#"), ("▁#", "##")]
    model = models.BPE(
        vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges, unk_token="<unk>",
        fuse_unk=True, byte_fallback=True,
    )  # fmt: skip
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(["<|endoftext|>", *(f"<|placeholder{i}|>" for i in range(1, 11))])
    published = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="<|endoftext|>", pad_token="<|endoftext|>",
        unk_token="<unk>",
    )  # fmt: skip
    assert len(published) == REFERENCE_TOKENS
    folder = tmp_path_factory.mktemp("stand_in")
    published.save_pretrained(folder)
    return str(folder)


def test_a_published_tokenizer_replaces_numbers_before_all_else(stand_in):
    tokenizer = pretrained(stand_in, "###")
    assert tokenizer.vocab_size == REFERENCE_TOKENS
    assert (tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id) == (0, 32_000, 1)
    assert tokenizer.tokens(tokenizer.encode("In 1999"))[-1].strip() == "###"
    assert tokenizer.decode(tokenizer.encode("In 1999 3.5")) == "In ### ###.###"
    assert pretrained(stand_in).decode(pretrained(stand_in).encode("In 1999")) == "In 1999"


def test_numbers_are_replaced_before_a_tokenizer_changes_them():
    backend = tokenizers.Tokenizer(models.BPE())
    backend.normalizer = normalizers.Replace("1", "one")
    replace_numbers(backend, None)
    assert backend.normalizer.normalize_str("in 1999") == "in one999"
    replace_numbers(backend, "###")
    assert backend.normalizer.normalize_str("in 1999") == "in ###"


def options_of(*arguments: str):
    def nothing(options) -> None:
        """No command runs here."""

    return parse(make_parser(nothing, nothing, nothing, nothing, nothing), ["train", "--out=x", *arguments])


def test_the_preset_is_the_reference_setting():
    options, reference = options_of("--preset", "reference"), REFERENCE
    assert options.tokenizer == "microsoft/Phi-3.5-mini-instruct"
    assert (options.replace_numbers, options.batches, options.model) == ("###", "sentences", "elman")
    assert (options.seq_len, options.batch_size) == (reference.seq_len, reference.batch_size)
    assert (options.emb_dim, options.num_layers) == (reference.emb_dim, reference.num_layers)
    assert (options.learning_rate, options.max_steps, options.max_seconds) == (1e-3, None, None)  # one pass


@pytest.mark.parametrize("order", [1, -1])
def test_what_the_command_line_names_counts_more_than_the_preset(order):
    pieces = [["--preset=reference"], ["--batch-size=7", "--tokenizer=char"]][::order]
    options = options_of(*pieces[0], *pieces[1])
    assert (options.batch_size, options.tokenizer, options.seq_len) == (7, "char", 30)
    assert options_of().batch_size == 32


def test_the_reference_set_up_is_one_command(run, stand_in, tmp_path, documents):
    texts = [f"{text} It was in {1900 + i}." for i, text in enumerate(documents * 2)]
    (tmp_path / "news.jsonl").write_bytes(json_lines(texts))
    status, _, error = run(
        "train", "--preset", "reference", "--tokenizer", stand_in, "--corpus", tmp_path / "news.jsonl",
        "--cache", tmp_path / "cache", "--out", tmp_path / "out", "--eval-size", "100", "--device", "cpu",
        "--prompt", "In 1999",
    )  # fmt: skip
    assert (status, error) == (0, "")
    record = lmcore.load_record(tmp_path / "out" / "record.json")
    assert record.settings["model"]["vocab_size"] == REFERENCE_TOKENS
    assert record.samples[-1]["text"].startswith("In ###")
    model, tokenizer = lmcore.load_checkpoint(tmp_path / "out")
    assert sum(p.numel() for p in model.parameters()) == NUM_PARAMETERS
    corpus = lmcore.corpus_from_path(tmp_path / "news.jsonl")
    sentences = [sentence for text in corpus.train for sentence in lmcore.split_sentences(text)]
    assert len(record.steps) == -(-len(sentences) // 128)  # one pass over all of them
    ids = tokenizer.encode_documents(sentences)
    assert record.steps[-1]["tokens"] == sum(min(len(row), 30) - 1 for row in ids)
    assert record.settings["options"]["preset"] == "reference"
