"""The files of the playground: what is written, what is read back, and what is refused."""

import gzip
import hashlib
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from playground_models import make_models

import lmcore
from lmcore.playground import character_classes

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "book" / "_static" / "playground" / "models"


@pytest.fixture(scope="module")
def models(bpe, documents):
    return make_models(bpe, documents)


@pytest.fixture(scope="module")
def exported(bpe, models, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    lmcore.export_playground(folder, bpe, models, {"gru": {"bits_per_byte": 1.5}})
    return folder


@pytest.fixture
def copy(exported, tmp_path) -> Path:
    """The files, to be damaged."""
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def edit(folder: Path, change) -> None:
    manifest = manifest_of(folder)
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_every_file_is_what_the_manifest_says(exported, bpe):
    manifest = manifest_of(exported)
    assert (manifest["format"], manifest["vocab_size"]) == (1, bpe.vocab_size)
    for entry in [manifest["tokenizer"], *manifest["models"]]:
        content = (exported / entry["file"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    named = {"manifest.json", "tokenizer.json", *(entry["file"] for entry in manifest["models"])}
    assert {path.name for path in exported.iterdir()} == named
    about = {entry["name"]: entry["about"] for entry in manifest["models"]}
    assert about["gru"] == {"bits_per_byte": 1.5}
    assert about["elman"] == {}


def test_the_committed_files_are_small_enough(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    limit = importlib.import_module("export_playground").LIMIT
    files = {path.name: path.read_bytes() for path in COMMITTED.iterdir()}
    named = [manifest_of(COMMITTED)["tokenizer"], *manifest_of(COMMITTED)["models"]]
    assert set(files) == {"manifest.json", *(entry["file"] for entry in named)}
    assert sum(len(gzip.compress(content, mtime=0)) for content in files.values()) <= limit == 4_000_000


def test_tensors_are_aligned_and_do_not_overlap(exported):
    for entry in manifest_of(exported)["models"]:
        end = 0
        for tensor in entry["tensors"]:
            assert tensor["offset"] % 4 == 0
            assert 0 <= tensor["offset"] - end < 4
            end = tensor["offset"] + int(np.prod(tensor["shape"])) * np.dtype(tensor["dtype"]).itemsize
        assert 0 <= entry["bytes"] - end < 4


def test_a_network_comes_back_rounded(exported, models):
    loaded = lmcore.load_playground(exported)
    assert list(loaded) == list(models)
    for name in ("elman", "gru", "lstm", "untied"):
        pairs = dict(loaded[name].named_parameters())
        for key, parameter in models[name].named_parameters():
            rounded = parameter.half().float() if parameter.ndim > 1 else parameter
            assert torch.equal(pairs[key], rounded), f"{name} {key}"
        assert (loaded[name].output.weight is loaded[name].embedding.weight) == (name != "untied")


def test_the_ngram_model_comes_back_as_a_distribution(exported, models, bpe, documents):
    loaded, before = lmcore.load_playground(exported)["ngram"], models["ngram"]
    assert loaded.num_ngrams == before.num_ngrams
    tokens = torch.from_numpy(bpe.encode_documents(documents[:1])[0].astype(np.int64))[None]
    after, expected = loaded(tokens)[0], before(tokens)[0]
    torch.testing.assert_close(after, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.logsumexp(-1), torch.zeros(after.shape[:2]).double(), atol=1e-12, rtol=0)


def test_the_tokenizer_comes_back(exported, bpe):
    assert lmcore.load_tokenizer(exported / "tokenizer.json").to_json() == bpe.to_json()


def test_character_classes_hold_what_they_should():
    classes = {
        name: {
            chr(code)
            for first, last in zip(edges[::2], edges[1::2], strict=True)
            for code in range(first, last + 1)
        }
        for name, edges in character_classes().items()
    }
    assert {"a", "Z", "é", "ß", "中", "ع", "𝒜", "ʰ"} <= classes["letters"]
    assert {"0", "9", "٣", "½", "²", "Ⅷ"} <= classes["numbers"]
    white = [
        *range(9, 14),
        0x20,
        0x85,
        0xA0,
        0x1680,
        *range(0x2000, 0x200B),
        0x2028,
        0x2029,
        0x202F,
        0x205F,
        0x3000,
    ]
    assert classes["blanks"] == set(map(chr, white))
    assert not classes["letters"] & classes["numbers"]
    assert not {"_", "'", "\u0301", "\ufeff", "\ue000"} & set.union(*classes.values())


@pytest.mark.parametrize("name", ["gru.bin", "ngram.bin"])
def test_a_changed_byte_is_noticed(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(lmcore.InputError, match=rf"{name} is damaged: its SHA-256 is .* was written"):
        lmcore.load_playground(copy)


def test_another_format_is_refused(copy):
    edit(copy, lambda manifest: manifest.update(format=2))
    with pytest.raises(lmcore.InputError, match="has format 2; this version reads 1"):
        lmcore.load_playground(copy)


def test_a_missing_file_is_named(copy):
    (copy / "lstm.bin").unlink()
    with pytest.raises(lmcore.InputError, match=r"there is no .*lstm\.bin"):
        lmcore.load_playground(copy)
    with pytest.raises(lmcore.InputError, match=r"there is no .*manifest\.json"):
        lmcore.load_playground(copy / "nowhere")


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("models"),
        lambda manifest: manifest["models"][0].pop("config"),
        lambda manifest: manifest["models"][0]["config"].update(cells="elman"),
        lambda manifest: manifest["models"][0]["tensors"].pop(),
        lambda manifest: manifest["models"][0]["tensors"][0].update(offset=10**9),
        lambda manifest: manifest["models"][0]["tensors"][0].update(shape=[3, 5]),
        lambda manifest: manifest["models"][0].update(kind="transformer"),
    ],
)
def test_a_damaged_manifest_is_refused(copy, change):
    edit(copy, change)
    with pytest.raises(lmcore.InputError, match=r"manifest\.json is damaged: "):
        lmcore.load_playground(copy)


def test_a_manifest_that_is_no_json_is_refused(copy):
    (copy / "manifest.json").write_text('{"format": 1', encoding="utf-8")
    with pytest.raises(lmcore.InputError, match=r"manifest\.json is damaged: "):
        lmcore.load_playground(copy)


def network(bpe, **options) -> lmcore.RecurrentLM:
    return lmcore.RecurrentLM(lmcore.RNNConfig(**{"vocab_size": bpe.vocab_size, "emb_dim": 16, **options}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "mingru"}, "x has the cell 'mingru'; the page has elman, gru, lstm"),
        ({"residual": True}, "x has residual layers"),
        ({"output": "adaptive"}, "x has residual layers or an adaptive output"),
        ({"vocab_size": 300}, "x has 300 tokens, but the tokenizer 400"),
    ],
)
def test_a_network_that_the_page_cannot_calculate_is_refused(bpe, tmp_path, options, message):
    with pytest.raises(lmcore.InputError, match=message):
        lmcore.export_playground(tmp_path, bpe, {"x": network(bpe, **options)})
    assert not list(tmp_path.iterdir())


def test_other_models_are_refused(bpe, tmp_path, documents):
    transformer = lmcore.TransformerLM(lmcore.GPTConfig(bpe.vocab_size, emb_dim=16, num_heads=2, context=8))
    with pytest.raises(
        lmcore.InputError, match="x is a TransformerLM; the page reads RecurrentLM and NGramLM"
    ):
        lmcore.export_playground(tmp_path, bpe, {"x": transformer})
    laplace = lmcore.laplace(bpe.encode_documents(documents), bpe.vocab_size, 2)
    with pytest.raises(lmcore.InputError, match="x gives its rest to all tokens alike"):
        lmcore.export_playground(tmp_path, bpe, {"x": laplace})


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_a_weight_that_float16_cannot_hold_is_refused(bpe, tmp_path, value):
    model = network(bpe)
    with torch.no_grad():
        model.layers[1].U[2, 3] = value
    with pytest.raises(
        lmcore.InputError, match=re.escape(f"x: layers.1.U holds {value:g}; float16 ends at 65504")
    ):
        lmcore.export_playground(tmp_path, bpe, {"x": model})


def test_a_sampled_output_is_exported_as_a_full_one(bpe, tmp_path):
    model = network(bpe, output="sampled").eval()
    lmcore.export_playground(tmp_path, bpe, {"x": model})
    tokens = torch.arange(20)[None]
    loaded = lmcore.load_playground(tmp_path)["x"]
    torch.testing.assert_close(loaded(tokens)[0], model(tokens)[0], atol=1e-3, rtol=0)


def test_tokenizers_that_the_page_does_not_know_are_refused(char, word, documents, tmp_path):
    for tokenizer in (char, word):
        with pytest.raises(lmcore.InputError, match=f"the tokenizer is of kind '{tokenizer.kind}'"):
            lmcore.export_playground(tmp_path, tokenizer, {})
    with_numbers = lmcore.train_bpe(documents, 300, numbers="###")
    with pytest.raises(lmcore.InputError, match="changes the text before it merges"):
        lmcore.export_playground(tmp_path, with_numbers, {})
