"""`python -m lmcore train | evaluate | generate | export | runs`: the course's pipeline from a shell."""

import argparse
import shlex
import sys
from collections.abc import Callable
from typing import Any

import torch

from lmcore.arguments import check_train, make_parser, parse, reading_of
from lmcore.checkpoint import load_checkpoint
from lmcore.corpus import Corpus
from lmcore.data import DocumentBatches, SentenceBatches, StreamBatches, corpus_tokens
from lmcore.distributed import World, join_world
from lmcore.errors import InputError, SaveError, TrainingError
from lmcore.generate_command import run_generate
from lmcore.gpt import GPTConfig, TransformerLM
from lmcore.hub import make_tokenizer
from lmcore.interop.export import export_checkpoint
from lmcore.metrics import count_words, evaluate
from lmcore.ngram import UnigramLM
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.runs.folder import RECORD, RunFolder
from lmcore.runs.listing import list_runs, table
from lmcore.runs.watch import TensorBoard
from lmcore.sources.cache import cache_folder
from lmcore.sources.source import open_corpus
from lmcore.tokenizer import Tokenizer, tokenizer_from_json
from lmcore.tokens import Tokens
from lmcore.train_config import TrainConfig, choose_device
from lmcore.trainer import Trainer


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    After a one-line message 2 stands for bad input, 1 for a training run that failed, 130 for Ctrl-C.
    """
    options = parse(make_parser(run_train, run_evaluate, run_generate, run_export, run_runs), arguments)
    options.again = shlex.join(["-m", "lmcore", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("lmcore: interrupted", file=sys.stderr)
        return 130
    except TrainingError as error:
        print(f"lmcore: {error}", file=sys.stderr)
        return 1
    except InputError as error:
        print(f"lmcore: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"lmcore: {error}", file=sys.stderr)  # "[Errno 13] Permission denied: 'runs/x'"
        return 2
    return 0


def run_train(options: argparse.Namespace) -> None:
    check_train(options)
    choose_device(options.device)  # a missing device should not show only after minutes of work
    with join_world() as world:
        train_in(world, options)


def train_in(world: World, options: argparse.Namespace) -> None:
    """Train as one of the processes of this run; rank 0 prints and writes."""
    say = print if world.is_first else lambda line: None
    folder = RunFolder(options.out, world)
    world.first_decides(lambda: folder.check({"options": plain(options)}))
    board = TensorBoard(folder.path / "tensorboard") if options.tensorboard and world.is_first else None
    if not world.is_first:
        world.wait()  # rank 0 fetches and unpacks, the others find
    corpus = read_corpus(options, log=say)
    if world.is_first:
        world.wait()
    say(corpus)
    tokenizer = folder.tokenizer() or shared_tokenizer(world, options, corpus)
    for prompt in options.prompt:
        tokenizer.encode_prompt(prompt)  # nor should a bad prompt
    if not world.is_first:
        world.wait()  # rank 0 writes the token files, the others find them
    train = encode(options, tokenizer, corpus, "train", log=say)
    held_out = encode(options, tokenizer, corpus, "validation", log=say, characters=options.eval_size)
    if world.is_first:
        world.wait()
    batches = make_batches(options, tokenizer, train)
    model = make_model(options, tokenizer, train)
    about = {"corpus": corpus.name, "corpus_sha256": corpus.sha256, "options": plain(options)}
    validation = DocumentBatches(held_out, tokenizer.pad_id)
    config = make_train_config(options, steps_per_epoch=len(batches))
    trainer = Trainer(
        model, batches, tokenizer, config, validation, about, log=say, world=world, folder=folder,
        watch=board and board.add,
    )  # fmt: skip
    try:
        fit(trainer, options.again)
    finally:
        if board is not None:
            board.close()
    say(f"saved model, tokenizer and run record in {options.out}")


def fit(trainer: Trainer, again: str) -> None:
    """Train; a run that failed or was stopped leaves its record, too."""
    try:
        trainer.fit()
    except (KeyboardInterrupt, SystemExit):
        launcher = "python" if trainer.world.size == 1 else "torchrun [as before]"
        trainer.log(f"stopped after step {trainer.progress.step:,}; this goes on: {launcher} {again}")
        raise
    finally:
        disk_is_full = isinstance(sys.exception(), SaveError)
        if trainer.world.is_first and trainer.run.steps and not disk_is_full:
            trainer.run.save(trainer.keeper.folder.path / RECORD)


def shared_tokenizer(world: World, options: argparse.Namespace, corpus: Corpus) -> Tokenizer:
    """Rank 0 makes the tokenizer, the others get its text: training it twice might not give it twice."""
    text = ""
    if world.is_first:
        kind, numbers = options.tokenizer, options.replace_numbers
        tokenizer = make_tokenizer(kind, corpus.train, options.vocab_size, numbers)
        if world.size == 1:
            return tokenizer
        text = tokenizer.to_json()
    return tokenizer_from_json(world.text_from_first(text), source="rank 0's tokenizer")


def make_batches(
    options: argparse.Namespace, tokenizer: Tokenizer, train: Tokens
) -> SentenceBatches | StreamBatches:
    sizes = {"batch_size": options.batch_size, "seq_len": options.seq_len, "seed": options.seed}
    if options.batches == "sentences":
        return SentenceBatches(train, pad_id=tokenizer.pad_id, **sizes)
    return StreamBatches(train, **sizes)


def read_corpus(options: argparse.Namespace, log: Callable[[str], None]) -> Corpus:
    return open_corpus(options.corpus, reading_of(options), options.cache, log)


def encode(options: argparse.Namespace, tokenizer: Tokenizer, corpus: Corpus, part: str, **more) -> Tokens:
    """Ids of one part of the corpus, as whole documents or as sentences, from the folder of token files."""
    unit = "sentences" if options.batches == "sentences" else "documents"
    return corpus_tokens(corpus, part, unit, tokenizer, options.cache or cache_folder(), **more)


def make_model(
    options: argparse.Namespace, tokenizer: Tokenizer, train: Tokens
) -> RecurrentLM | TransformerLM:
    """A fresh model that knows the token frequencies of the training text."""
    torch.manual_seed(options.seed)
    config = make_model_config(options, tokenizer)
    model = TransformerLM(config) if isinstance(config, GPTConfig) else RecurrentLM(config)
    model.start_from_frequencies(UnigramLM(train, tokenizer.vocab_size).log_probs)
    return model


def make_model_config(options: argparse.Namespace, tokenizer: Tokenizer) -> RNNConfig | GPTConfig:
    shared = {
        "vocab_size": tokenizer.vocab_size,
        "emb_dim": options.emb_dim,
        "num_layers": options.num_layers,
        "output": options.output,
        "emb_std": options.emb_std,
        "label_smoothing": options.label_smoothing,
        "tie_weights": options.tie_weights,
        "dropout": options.dropout,
        "pad_id": tokenizer.pad_id,
    }
    if options.model == "transformer":
        sizes = {"num_heads": options.heads, "context": options.context}
        return GPTConfig(**shared, **{name: size for name, size in sizes.items() if size is not None})
    return RNNConfig(cell=options.model, variational=options.variational, residual=options.residual, **shared)


def make_train_config(options: argparse.Namespace, steps_per_epoch: int) -> TrainConfig:
    max_steps = options.max_steps
    if max_steps is None and options.max_seconds is None:
        max_steps = steps_per_epoch
    return TrainConfig(
        max_steps=max_steps,
        max_seconds=options.max_seconds,
        learning_rate=options.learning_rate,
        accumulate=options.accumulate,
        cuda_graph=options.cuda_graph,
        eval_every=options.eval_every,
        save_every=options.save_every,
        sample_steps=tuple(options.sample_steps),
        prompts=tuple(options.prompt),
        seed=options.seed,
        device=options.device,
    )


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """The options as JSON can hold them."""
    return {name: value for name, value in vars(options).items() if name not in ("run", "again")}


def run_evaluate(options: argparse.Namespace) -> None:
    device = choose_device(options.device)
    model, tokenizer = load_checkpoint(options.checkpoint)
    corpus = read_corpus(options, log=print)
    ids = encode(options, tokenizer, corpus, options.part)
    batches = DocumentBatches(ids, tokenizer.pad_id, reset_every=options.reset_every)
    result = evaluate(
        model.to(device), batches, tokenizer.pad_id, tokenizer.token_bytes(), tokenizer.unk_id,
        num_words=count_words(corpus.part(options.part)), by_position=options.by_position,
    )  # fmt: skip
    print(f"{corpus.name}, {options.part}: {result}", *result.by_position, sep="\n")


def run_export(options: argparse.Namespace) -> None:
    export_checkpoint(options.checkpoint, options.out, options.to)
    print(f"saved for {options.to} in {options.out}; README.md there says how to load it")


def run_runs(options: argparse.Namespace) -> None:
    print(table(list_runs(options.folder)))


if __name__ == "__main__":
    sys.exit(main())
