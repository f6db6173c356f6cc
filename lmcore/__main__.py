"""`python -m lmcore train | evaluate | generate`: the course's pipeline from a shell."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmcore.checkpoint import load_checkpoint, save_checkpoint
from lmcore.corpus import Corpus, builtin_corpus, corpus_from_path
from lmcore.data import DocumentBatches, SentenceBatches, StreamBatches, split_sentences
from lmcore.errors import InputError
from lmcore.generate import Sampling, generate
from lmcore.metrics import evaluate
from lmcore.ngram import UnigramLM
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.tokenizer import Tokenizer, make_tokenizer
from lmcore.trainer import TrainConfig, Trainer, choose_device

EXAMPLES = """examples:
  python -m lmcore train --out runs/first --max-seconds 60
  python -m lmcore train --corpus my_book.txt --tokenizer char --out runs/mine --max-steps 500
  python -m lmcore evaluate --checkpoint runs/first
  python -m lmcore generate --checkpoint runs/first --prompt "The President" --temperature 0.8
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 2 after a one-line message on bad input."""
    options = make_parser().parse_args(arguments)
    try:
        options.run(options)
    except InputError as error:
        print(f"lmcore: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"lmcore: {error}", file=sys.stderr)  # "[Errno 13] Permission denied: 'runs/x'"
        return 2
    return 0


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is something to show."""

    def _get_help_string(self, action):
        return super()._get_help_string(action) if action.default else action.help


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lmcore",
        description="Train a recurrent language model on text, score it, and let it write.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_generate(commands)
    return parser


def _add_command(commands, name: str, run, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary, formatter_class=_Help)
    parser.set_defaults(run=run)
    return parser


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--corpus",
        metavar="PATH",
        help="a UTF-8 text file, or a folder of .txt files; without it the built-in State of the "
        "Union messages",
    )


def _add_batches(parser) -> None:
    parser.add_argument(
        "--batches",
        choices=("streams", "sentences"),
        default="streams",
        help="streams: long text, the state carried along; sentences: padded rows, each from an empty state",
    )


def _add_train(commands) -> None:
    parser = _add_command(commands, "train", run_train, "Train a model and save it in a folder.")
    add = parser.add_argument
    _add_corpus(parser)
    add("--out", metavar="DIR", required=True, help="folder for the model and record.json")
    group = parser.add_argument_group("how long (default: one pass over the training text)")
    group.add_argument("--max-steps", type=int, metavar="N", help="stop after N gradient steps")
    group.add_argument("--max-seconds", type=float, metavar="S", help="or after S seconds of training")
    group = parser.add_argument_group("text")
    add = group.add_argument
    add("--tokenizer", default="bpe", help="bpe, char, word, or the name of a pretrained tokenizer")
    add("--vocab-size", type=int, default=8192, metavar="V", help="tokens, for bpe and word")
    _add_batches(group)
    add("--batch-size", type=int, default=32, metavar="B", help="rows per step")
    add("--seq-len", type=int, default=32, metavar="T", help="tokens per row and step")
    group = parser.add_argument_group("model")
    add = group.add_argument
    add("--emb-dim", type=int, default=128, metavar="D", help="width of embedding and layers")
    add("--num-layers", type=int, default=2, metavar="N", help="recurrent layers")
    add("--tie-weights", action="store_true", help="one matrix for embedding and output")
    add("--dropout", type=float, default=0.0, metavar="P", help="probability of dropping a number")
    group = parser.add_argument_group("training")
    add = group.add_argument
    add("--learning-rate", type=float, default=3e-3, metavar="R", help="at its peak")
    add("--eval-every", type=int, metavar="N", help="validate every N steps")
    add("--prompt", action="append", default=[], help="write a sample for this prompt; repeatable")
    add(
        "--sample-steps",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="write samples after these steps too, not only at the end",
    )
    add("--seed", type=int, default=0, help="same seed, same machine, same --max-steps: same model")
    add("--device", default="auto", help="auto, cpu, cuda or mps")


def _add_evaluate(commands) -> None:
    parser = _add_command(commands, "evaluate", run_evaluate, "Score a trained model on held-out text.")
    parser.add_argument("--checkpoint", metavar="DIR", required=True, help="folder written by train")
    _add_corpus(parser)
    _add_batches(parser)
    parser.add_argument(
        "--part",
        choices=("validation", "test", "train", "all"),
        default="validation",
        help="which part of the corpus; use test once, for the number that you report",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def _add_generate(commands) -> None:
    parser = _add_command(commands, "generate", run_generate, "Let a trained model go on from a prompt.")
    add = parser.add_argument
    add("--checkpoint", metavar="DIR", required=True, help="folder written by train")
    add("--prompt", default="", metavar="TEXT", help="where to start; empty: a new document")
    add("--max-new-tokens", type=int, default=50, metavar="N", help="stop after N tokens")
    add(
        "--temperature",
        type=float,
        default=0.8,
        metavar="X",
        help="0 means greedy (always the likeliest token), 1 the model as it is, above 1 more random",
    )
    add("--top-k", type=int, metavar="K", help="choose among the K likeliest tokens only")
    add("--top-p", type=float, metavar="P", help="choose among the likeliest that reach P, in (0, 1]")
    add("--seed", type=int, default=0, help="same seed, same text")
    add("--device", default="auto", help="auto, cpu, cuda or mps")


def run_train(options: argparse.Namespace) -> None:
    choose_device(options.device)  # a missing device should not show only after minutes of work
    if Path(options.out).is_file():
        raise InputError(f"--out {options.out} is a file; it must be a folder")
    corpus = read_corpus(options.corpus)
    print(corpus)
    tokenizer = make_tokenizer(options.tokenizer, corpus.train, options.vocab_size)
    for prompt in options.prompt:
        tokenizer.encode_prompt(prompt)  # nor a bad prompt
    train = encode(tokenizer, corpus.train, options.batches)
    held_out = encode(tokenizer, corpus.validation, options.batches)
    sizes = {"batch_size": options.batch_size, "seq_len": options.seq_len, "seed": options.seed}
    if options.batches == "sentences":
        batches = SentenceBatches(train, pad_id=tokenizer.pad_id, **sizes)
    else:
        batches = StreamBatches(train, **sizes)
    model = make_model(options, tokenizer, train)
    about = {"corpus": corpus.name, "corpus_sha256": corpus.sha256, "options": plain(options)}
    validation = DocumentBatches(held_out, tokenizer.pad_id)
    config = make_train_config(options, steps_per_epoch=len(batches))
    Path(options.out).mkdir(parents=True, exist_ok=True)  # before the training: failing now costs nothing
    run = Trainer(model, batches, tokenizer, config, validation, about).fit()
    save_checkpoint(options.out, model.cpu(), tokenizer)
    run.save(Path(options.out) / "record.json")
    print(f"saved model, tokenizer and run record in {options.out}")


def read_corpus(path: str | None) -> Corpus:
    return builtin_corpus() if path is None else corpus_from_path(path)


def encode(tokenizer: Tokenizer, documents: tuple[str, ...], batches: str) -> list[np.ndarray]:
    """Ids of whole documents, or of their sentences."""
    if batches == "sentences":
        return tokenizer.encode_documents([s for text in documents for s in split_sentences(text)])
    return tokenizer.encode_documents(documents)


def make_model(options: argparse.Namespace, tokenizer: Tokenizer, train: list[np.ndarray]) -> RecurrentLM:
    """A fresh model that knows the token frequencies of the training text."""
    torch.manual_seed(options.seed)
    config = RNNConfig(
        vocab_size=tokenizer.vocab_size,
        emb_dim=options.emb_dim,
        num_layers=options.num_layers,
        tie_weights=options.tie_weights,
        dropout=options.dropout,
        pad_id=tokenizer.pad_id,
    )
    model = RecurrentLM(config)
    model.start_from_frequencies(UnigramLM(train, tokenizer.vocab_size).log_probs)
    return model


def make_train_config(options: argparse.Namespace, steps_per_epoch: int) -> TrainConfig:
    max_steps = options.max_steps
    if max_steps is None and options.max_seconds is None:
        max_steps = steps_per_epoch
    return TrainConfig(
        max_steps=max_steps,
        max_seconds=options.max_seconds,
        learning_rate=options.learning_rate,
        eval_every=options.eval_every,
        sample_steps=tuple(options.sample_steps),
        prompts=tuple(options.prompt),
        seed=options.seed,
        device=options.device,
    )


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """The options as JSON can hold them."""
    return {name: value for name, value in vars(options).items() if name != "run"}


def run_evaluate(options: argparse.Namespace) -> None:
    device = choose_device(options.device)
    model, tokenizer = load_checkpoint(options.checkpoint)
    corpus = read_corpus(options.corpus)
    parts = corpus.train + corpus.validation + corpus.test
    texts = parts if options.part == "all" else getattr(corpus, options.part)
    batches = DocumentBatches(encode(tokenizer, texts, options.batches), tokenizer.pad_id)
    result = evaluate(model.to(device), batches, tokenizer.pad_id, tokenizer.token_bytes(), tokenizer.unk_id)
    print(f"{corpus.name}, {options.part}: {result}")


def run_generate(options: argparse.Namespace) -> None:
    device = choose_device(options.device)
    sampling = Sampling(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
    )
    model, tokenizer = load_checkpoint(options.checkpoint)
    print(generate(model.to(device), tokenizer, options.prompt, sampling))


if __name__ == "__main__":
    sys.exit(main())
