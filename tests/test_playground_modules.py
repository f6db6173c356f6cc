"""The playground's JavaScript against lmcore, run by node: tokens, logits, filters, checksums."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from playground_models import copy_scripts, make_models, random_strings

import lmcore

NODE = shutil.which("node")
MAIN = """
import { readFileSync } from "node:fs";
import { ask } from "./playground_probe.js";
globalThis.fetch = async (url) => new Response(readFileSync(url));
console.log(await ask(process.argv[2], readFileSync(0, "utf-8")));
"""
NAMES = ["elman", "gru", "lstm", "untied", "ngram"]

pytestmark = pytest.mark.skipif(
    NODE is None, reason="no node on this machine (Debian: apt-get install nodejs)"
)


@pytest.fixture(scope="module")
def ask(bpe, documents, tmp_path_factory):
    """Ask the page's modules a question about the small models (see playground_probe.js)."""
    folder = tmp_path_factory.mktemp("page") / "playground"
    copy_scripts(folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "main.js").write_text(MAIN, encoding="utf-8")
    lmcore.export_playground(folder / "models", bpe, make_models(bpe, documents))

    def ask(what, **details):
        command = [NODE, str(folder / "main.js"), (folder / "models").as_uri() + "/"]
        question = json.dumps({"what": what, **details})
        result = subprocess.run(command, input=question, capture_output=True, text=True, encoding="utf-8")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    ask.folder = folder / "models"
    return ask


@pytest.fixture(scope="module")
def loaded(ask):
    return lmcore.load_playground(ask.folder)


@pytest.fixture(scope="module")
def text_ids(bpe, documents) -> list[int]:
    """A thousand tokens."""
    return [bpe.bos_id, *bpe.encode(" ".join(documents))][:1000]


def test_ten_thousand_strings_get_the_same_tokens(ask, bpe):
    texts = random_strings(10_000)
    ids = ask("encode", texts=texts)
    wrong = [text for text, found in zip(texts, ids, strict=True) if found != bpe.encode(text)]
    assert wrong == []
    assert ask("decode", rows=ids) == texts


def test_ids_in_any_order_decode_alike(ask, bpe):
    """Most of these are no UTF-8, and some begin with a byte order mark."""
    rows = np.random.default_rng(0).integers(bpe.vocab_size, size=(500, 12)).tolist()
    rows += [bpe.encode("\ufefftext"), [], [bpe.bos_id], bpe.encode("👩")[:-1]]
    assert ask("decode", rows=rows) == [bpe.decode(ids) for ids in rows]


@pytest.mark.parametrize("text", ["ab\ud83d", "\udc00", "x👩\ud83dy", "\udc00\ud83d"])
def test_half_of_a_surrogate_pair_is_refused_in_the_same_words(ask, bpe, text):
    with pytest.raises(lmcore.InputError) as caught:
        bpe.encode(text)
    assert ask("encode", texts=[text]) == [str(caught.value)]


def test_every_token_is_shown_alike_unless_it_is_part_of_a_character(ask, bpe):
    ids = range(bpe.vocab_size)
    for shown, expected, name in zip(
        ask("labels", ids=[*ids]), bpe.tokens(ids), bpe.tokens(ids), strict=True
    ):
        assert shown == expected or ("\ufffd" in name and shown.startswith("\\x"))


@pytest.mark.parametrize("name", NAMES)
def test_logits_over_a_thousand_tokens(ask, loaded, name, text_ids):
    with torch.inference_mode():
        expected = loaded[name](torch.tensor([text_ids]))[0][0].double().numpy()
    found = np.array(ask("logits", name=name, ids=text_ids))
    assert found.shape == expected.shape == (1000, expected.shape[1])
    assert np.ptp(expected, axis=0).max() > 1  # what was read matters
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_and_its_surprise(ask, loaded, bpe, name):
    prompt_ids, never = bpe.encode_prompt("The President"), tuple(sorted({*bpe.special_ids} - {bpe.eos_id}))
    sampling = lmcore.Sampling(temperature=0.0, max_new_tokens=80)
    expected = prompt_ids + lmcore.generate_ids(loaded[name], prompt_ids, sampling, bpe.eos_id, never)
    greedy = {"temperature": 0, "topK": None, "topP": None}
    text = ask("write", name=name, promptIds=prompt_ids[1:], count=80, sampling=greedy, seed=0)
    assert [token["id"] for token in text] == expected
    with torch.inference_mode():
        log_probs = loaded[name](torch.tensor([expected[:-1]]))[0][0].double().log_softmax(dim=-1)
    bits = -log_probs[range(len(expected) - 1), expected[1:]] / np.log(2)
    assert np.abs(np.array([token["bits"] for token in text[1:]]) - bits.numpy()).max() < 1e-3
    assert [token["written"] for token in text] == [False] * len(prompt_ids) + [True] * (
        len(text) - len(prompt_ids)
    )


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1.0, None, None),
        (0.5, None, None),
        (1.0, 5, None),
        (1.0, None, 0.7),
        (1.7, 40, 0.9),
        (0.0, 3, 0.2),
        (1e-31, None, None),
    ],
)
def test_filters(ask, temperature, top_k, top_p):
    logits = torch.randn(20, 60, generator=torch.Generator().manual_seed(1)).double()
    if top_p is None:
        logits[:, 7] = logits[:, 8]  # a tie: both stay or go
    logits[3] = 0.0
    sampling = lmcore.Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    expected = lmcore.next_token_probs(logits[:3], sampling), lmcore.next_token_probs(logits[4:], sampling)
    asked = {"temperature": temperature, "topK": top_k, "topP": top_p}
    found = torch.tensor(ask("filter", rows=logits.tolist(), sampling=asked))
    torch.testing.assert_close(
        torch.cat([found[:3], found[4:]]).double(), torch.cat(expected), atol=1e-7, rtol=0
    )
    assert abs(float(found[3].sum()) - 1) < 1e-6  # equal logits: who stays is open, how many is not


def test_more_than_all_tokens_is_all(ask):
    asked = {"temperature": 1, "topK": 1000, "topP": None}
    torch.testing.assert_close(
        torch.tensor(ask("filter", rows=[[0.0, 0.0]], sampling=asked)), torch.full((1, 2), 0.5)
    )


def test_draws_follow_the_probabilities(ask):
    probs, count = [0.0, 0.5, 0.25, 0.0, 0.125, 0.1, 0.025, 0.0], 20_000
    for seed in (0, 1, 2**32 - 1):
        found = np.bincount(ask("draw", probs=probs, seed=seed, count=count), minlength=len(probs))
        assert not found[np.array(probs) == 0].any()
        expected = count * np.array(probs)[np.array(probs) > 0]
        chi_square = ((found[np.array(probs) > 0] - expected) ** 2 / expected).sum()
        assert chi_square < 18.5, seed  # one in a thousand is above it, with four degrees of freedom


def test_a_seed_is_a_text(ask):
    details = {"name": "lstm", "promptIds": [50, 60], "count": 30}
    sampling = {"temperature": 1, "topK": None, "topP": None}
    texts = [ask("write", seed=seed, sampling=sampling, **details) for seed in (4, 4, 5)]
    assert texts[0] == texts[1] != texts[2]


def test_every_half_precision_number_is_read(ask):
    bits = np.arange(2**16, dtype=np.uint16)
    found = np.array([float(text) for text in ask("halves", bits=bits.tolist())])
    np.testing.assert_array_equal(found, bits.view(np.float16).astype(np.float64))


def test_tokens_without_text_are_never_drawn(ask, bpe):
    """They would be the likeliest, see `make_models`."""
    sampling = {"temperature": 1, "topK": 3, "topP": None}
    for name in NAMES[:4]:
        text = ask("write", name=name, promptIds=[], count=100, sampling=sampling, seed=0)
        assert not {token["id"] for token in text[1:]} & {bpe.pad_id, bpe.unk_id, bpe.bos_id}


def test_own_checksum_is_the_usual_one(ask):
    lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 70_001]
    for length, (own, offered) in zip(lengths, ask("sums", lengths=lengths), strict=True):
        content = bytes((31 * i + length) % 256 for i in range(length))
        assert own == offered == hashlib.sha256(content).hexdigest()
