"""Damaged checkpoints by the thousand: each must be refused, or give exactly the model that was saved.

    python tests/fuzz/checkpoints.py --count 10000 --everywhere

Number i is always the same damage, so that a failure can be looked at: --first i --count 1. Every fourth one
is signed again after the damage, as only somebody who means it can do. Another model is then no accident;
but it still must not run, hang, take the memory, or end in an error of another kind.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from random import Random

import torch
from guard import Guard, limit_memory, report
from mutations import BYTES, JSON, from_the_command_line
from tensor_files import TENSORS

import lmcore
from lmcore.checkpoint import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    sign_checkpoint,
)
from lmcore.errors import InputError

Files = dict[str, bytes]
KNOWING = {WEIGHTS: TENSORS, CONFIG: JSON, TOKENIZER: JSON}  # mutations that know the format
SHAPES = {
    "elman": lmcore.RNNConfig(vocab_size=9, emb_dim=4),
    "lstm": lmcore.RNNConfig(9, 4, 1, cell="lstm", tie_weights=True, residual=True, dropout=0.5),
    "sampled": lmcore.RNNConfig(9, 4, 1, output="sampled", cell="mingru"),
    "transformer": lmcore.GPTConfig(vocab_size=9, emb_dim=4, num_layers=1, num_heads=2, context=3),
}


class Original:
    """A saved checkpoint: its files, those of a run that differs in seed and text, and what loading gives."""

    def __init__(self, folder: Path, name: str):
        self.folder = folder / name
        self.other = _save(folder / f"{name}-other", name, "a bag ebb", seed=1)
        self.files = _save(self.folder, name, "a bad cab", seed=0)
        self._there = dict(self.files)
        self.expected = fingerprint(load_checkpoint(self.folder))

    def put(self, files: Files) -> None:
        """Make the folder hold these files."""
        for name, content in files.items():
            if content != self._there[name]:
                (self.folder / name).write_bytes(content)
        self._there = dict(files)

    def load(self) -> Checkpoint:
        return load_checkpoint(self.folder)

    def sign(self) -> None:
        """Write the checksums of what is there; without effect where the configuration cannot be read."""
        self._there[CONFIG] = b"signed"  # differs from whatever comes next
        with suppress(InputError):
            sign_checkpoint(self.folder)

    def is_right(self, loaded: Checkpoint) -> bool:
        return fingerprint(loaded) == self.expected


def _save(folder: Path, name: str, text: str, seed: int) -> Files:
    torch.manual_seed(seed)
    model_class = lmcore.TransformerLM if name == "transformer" else lmcore.RecurrentLM
    save_checkpoint(folder, model_class(SHAPES[name]), lmcore.train_char([text]))
    return {file: (folder / file).read_bytes() for file in (WEIGHTS, CONFIG, TOKENIZER)}


def fingerprint(checkpoint: Checkpoint) -> tuple:
    """Everything that makes the model what it is."""
    model, tokenizer = checkpoint
    tensors = model.state_dict().items()
    numbers = [(name, str(tensor.dtype), tensor.shape, tensor.numpy().tobytes()) for name, tensor in tensors]
    return numbers, type(model), model.config, model.training, tokenizer.to_json()


def damaged(original: Original, random: Random) -> tuple[str, Files]:
    """One or two files damaged, or some of another run; and in words which."""
    files, done = dict(original.files), []
    if random.random() < 0.1:
        taken = random.sample(sorted(files), k=random.randrange(1, 3))
        return f"{taken} of another run", {**files, **{name: original.other[name] for name in taken}}
    for name in random.choices(sorted(files), k=1 + (random.random() < 0.15)):
        if files[name] is original.files[name]:  # a mutation may rely on a whole file
            mutation = random.choice([*BYTES, *KNOWING[name]])
            files[name] = mutation(files[name], random)
            done.append(f"{mutation.__name__}({name})")
    return " ".join(done), files


def random_damage(originals: list[Original], numbers: range) -> Iterator[tuple[str, Original, Files, bool]]:
    """A name, whose checkpoint, the damaged files, and whether they are signed again."""
    for i in numbers:
        original = originals[i % len(originals)]
        what, files = damaged(original, Random(i))
        yield f"{i} {original.folder.name} {what}", original, files, i // len(originals) % 4 == 3


def damage_everywhere(original: Original) -> Iterator[tuple[str, Original, Files, bool]]:
    """Each file cut off before each of its bytes, and with each of them changed."""
    for name, content in original.files.items():
        for at in range(len(content)):
            changed = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
            yield f"{name} cut off at {at}", original, {**original.files, name: content[:at]}, False
            yield f"{name} changed at {at}", original, {**original.files, name: changed}, False


def main(numbers: range, everywhere: bool) -> Guard:
    guard = Guard()
    with tempfile.TemporaryDirectory() as folder:
        originals = [Original(Path(folder), name) for name in SHAPES]
        thorough = damage_everywhere(originals[0]) if everywhere else ()
        for name, original, files, signed_again in chain(random_damage(originals, numbers), thorough):
            original.put(files)
            if signed_again:
                original.sign()
                guard.read(f"{name}, signed again", original.load, lambda loaded: True)
            else:
                guard.read(name, original.load, original.is_right)
    return guard


if __name__ == "__main__":
    limit_memory()
    options = from_the_command_line()
    report(main(range(options.first, options.first + options.count), options.everywhere))
