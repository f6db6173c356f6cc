"""`python -m lmcore train | evaluate | generate`: the course's pipeline from a shell."""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from lmcore.arguments import check_train, make_parser
from lmcore.checkpoint import load_checkpoint, save_checkpoint
from lmcore.corpus import Corpus, builtin_corpus, corpus_from_path
from lmcore.data import DocumentBatches, SentenceBatches, StreamBatches, corpus_tokens
from lmcore.distributed import World, join_world
from lmcore.errors import InputError, TrainingError
from lmcore.generate import Sampling, generate
from lmcore.gpt import GPTConfig, TransformerLM
from lmcore.hub import make_tokenizer
from lmcore.metrics import count_words, evaluate
from lmcore.ngram import UnigramLM
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.tokenizer import Tokenizer, tokenizer_from_json
from lmcore.tokens import Tokens, cache_folder
from lmcore.train_config import TrainConfig, choose_device
from lmcore.trainer import Trainer


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    After a one-line message 2 stands for bad input and 1 for a training run that failed.
    """
    options = make_parser(run_train, run_evaluate, run_generate).parse_args(arguments)
    try:
        options.run(options)
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
    if Path(options.out).is_file():
        raise InputError(f"--out {options.out} is a file; it must be a folder")
    with join_world() as world:
        train_in(world, options)


def train_in(world: World, options: argparse.Namespace) -> None:
    """Train as one of the processes of this run; rank 0 prints and writes."""
    say = print if world.is_first else lambda line: None
    corpus = read_corpus(options.corpus)
    say(corpus)
    tokenizer = shared_tokenizer(world, options, corpus)
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
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)  # before the training: failing now costs nothing
    trainer = Trainer(
        model, batches, tokenizer, config, validation, about, log=say, world=world,
        save=lambda: save_checkpoint(out, model, tokenizer),
    )  # fmt: skip
    try:
        trainer.fit()
    finally:  # a run that failed leaves its history, too
        if world.is_first and trainer.run.steps:
            trainer.run.save(out / "record.json")
    say(f"saved model, tokenizer and run record in {options.out}")


def shared_tokenizer(world: World, options: argparse.Namespace, corpus: Corpus) -> Tokenizer:
    """Rank 0 makes the tokenizer, the others get its text: training it twice might not give it twice."""
    text = ""
    if world.is_first:
        tokenizer = make_tokenizer(options.tokenizer, corpus.train, options.vocab_size)
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


def read_corpus(path: str | None) -> Corpus:
    return builtin_corpus() if path is None else corpus_from_path(path)


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
    ids = encode(options, tokenizer, corpus, options.part)
    batches = DocumentBatches(ids, tokenizer.pad_id, reset_every=options.reset_every)
    result = evaluate(
        model.to(device), batches, tokenizer.pad_id, tokenizer.token_bytes(), tokenizer.unk_id,
        num_words=count_words(corpus.part(options.part)), by_position=options.by_position,
    )  # fmt: skip
    print(f"{corpus.name}, {options.part}: {result}", *result.by_position, sep="\n")


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
