"""Small random models as the playground reads them, and the strings that its tokenizer is tried on."""

import random
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch

import lmcore

SCRIPTS = Path(__file__).resolve().parents[1] / "book" / "_static" / "playground"
PROBE = Path(__file__).with_name("playground_probe.js")
NETWORKS = {"elman": "elman", "gru": "gru", "lstm": "lstm", "untied": "lstm"}  # each with its cell
PIECES = ["the", " The", "President", "don't", "'LL", "it's", " 1,234.5", "½", "\n\n", "  ", "\t"]
PIECES += ["—", "…", "Ġ", "<eos>", "👩‍👩‍👧‍👦", "🇺🇸", "👍🏽", "é", "e\u0301", "ﬁ", "Å", "中文", "ก็"]
PIECES += ["עברית", "\u0130", "ß", "߀", "²", "Ⅷ", "we're", "I've", "I'm", "he'll", "he'd"]
PIECES += [chr(c) for c in (0, 7, 0x85, 0xA0, 0xAD, 0x1680, 0x180E, 0x200B, 0x2028, 0x202F, 0x3000, 0xFEFF)]


def make_models(tokenizer: lmcore.Tokenizer, documents: Sequence[str]) -> dict[str, torch.nn.Module]:
    """Two layers of width 16, in which what was read matters but errors do not grow; and pruned trigrams."""
    torch.manual_seed(5)
    models: dict[str, torch.nn.Module] = {}
    for name, cell in NETWORKS.items():
        config = lmcore.RNNConfig(tokenizer.vocab_size, emb_dim=16, cell=cell, tie_weights=name != "untied")
        models[name] = lmcore.RecurrentLM(config).eval()
        for key, parameter in models[name].named_parameters():
            torch.nn.init.normal_(parameter, std=0.2 if key.endswith(".U") else 0.8)
        with torch.no_grad():
            models[name].output.bias[[tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id]] = 4.0  # tempting
    encoded = tokenizer.encode_documents(documents)
    models["ngram"] = lmcore.prune(lmcore.kneser_ney(encoded, tokenizer.vocab_size, 3), encoded, 500)
    return models


def copy_scripts(folder: Path) -> None:
    """The page's JavaScript without its models, and the probe beside it."""
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("models"))
    shutil.copy(PROBE, folder)


def random_strings(count: int) -> list[str]:
    """Any code points, text with odd pieces in it, and each of these in a normal form of Unicode."""
    draws = random.Random(7)
    return [_string(draws, number) for number in range(count)]


def _string(draws: random.Random, number: int) -> str:
    length = draws.randrange(25)
    if number % 4 == 0:
        return "".join(_character(draws, 0x110000) for _ in range(length))
    if number % 4 == 1:
        return "".join(_character(draws, 0x3000) for _ in range(length))
    ascii_or_piece = (draws.choice([draws.choice(PIECES), _character(draws, 0x80)]) for _ in range(length))
    text = "".join(ascii_or_piece)
    return unicodedata.normalize(draws.choice(["NFC", "NFD", "NFKC"]), text) if number % 4 == 2 else text


def _character(draws: random.Random, stop: int) -> str:
    code = draws.randrange(stop)
    return chr(code) if not 0xD800 <= code < 0xE000 else "x"
