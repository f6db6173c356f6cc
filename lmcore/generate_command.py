"""`python -m lmcore generate`: its options, and what it prints."""

import argparse

from lmcore.beam import BeamSearch, beam_search
from lmcore.checkpoint import load_checkpoint
from lmcore.errors import InputError
from lmcore.generate import Written, generate_batch, stream
from lmcore.sampling import Sampling
from lmcore.tokenizer import Tokenizer
from lmcore.train_config import choose_device

CHOOSING = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p", "typical_p")
TEMPERATURE = 0.8


def add_generate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", metavar="DIR", required=True, help="folder written by train")
    add(
        "--prompt",
        action="append",
        default=[],
        metavar="TEXT",
        help="where to start; empty: a new document; repeatable, then all are written in one pass",
    )
    add("--max-new-tokens", type=int, default=50, metavar="N", help="stop after N tokens")
    add("--stop", action="append", default=[], metavar="TEXT", help="or before this text; repeatable")
    add("--scores", action="store_true", help="also each token's log-probability; with --beams, each text's")
    add("--seed", type=int, default=0, help="same seed, same text; a second prompt has the next seed")
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    _add_choosing(parser.add_argument_group("how a token is chosen; what is given acts in this order"))
    add = parser.add_argument_group("or, without chance, the likeliest text that is found").add_argument
    add("--beams", type=int, metavar="N", help="keep the N likeliest beginnings at every step")
    add("--length-penalty", type=float, metavar="X", help="higher values favour longer texts (default: 1)")


def _add_choosing(group) -> None:
    add = group.add_argument
    add("--repetition-penalty", type=float, metavar="X", help="above 1, what is there gets less likely")
    add(
        "--temperature",
        type=float,
        metavar="X",
        help="0 means greedy (always the likeliest token), 1 the model as it is, above 1 more random "
        f"(default: {TEMPERATURE})",
    )
    add("--top-k", type=int, metavar="K", help="choose among the K likeliest tokens only")
    add("--top-p", type=float, metavar="P", help="choose among the likeliest that reach P, in (0, 1]")
    add("--min-p", type=float, metavar="P", help="only tokens that are P times as likely as the likeliest")
    add("--typical-p", type=float, metavar="P", help="those closest to the mean surprise that reach P")


def run_generate(options: argparse.Namespace) -> None:
    device = choose_device(options.device)
    sampling, search = _sampling(options), _search(options)
    model, tokenizer = load_checkpoint(options.checkpoint)
    model.to(device)
    prompts = options.prompt or [""]
    if search is not None:
        for prompt in prompts:
            _print_found(beam_search(model, tokenizer, prompt, search, options.stop), options.scores)
    elif len(prompts) > 1 or options.scores:
        for written in generate_batch(model, tokenizer, prompts, sampling, options.stop, options.scores):
            print(written.text)
            if options.scores:
                _print_scores(tokenizer, written)
    else:
        for piece in stream(model, tokenizer, prompts[0], sampling, options.stop):
            print(piece, end="", flush=True)
        print()


def _print_found(found: list[tuple[str, float]], scores: bool) -> None:
    """The best text, or all of them, each after its score."""
    shown = [f"{score:8.4f}  {text}" for text, score in found] if scores else [found[0][0]]
    print(*shown, sep="\n")


def _print_scores(tokenizer: Tokenizer, written: Written) -> None:
    """A line per token: nats under the model, nats under the distribution it was drawn from, its text."""
    texts = tokenizer.tokens(written.ids)
    for text, model, drawn in zip(texts, written.log_probs, written.drawn_log_probs, strict=True):
        print(f"{model:9.4f} {drawn:9.4f}  {text!r}")


def _sampling(options: argparse.Namespace) -> Sampling:
    given = {name: getattr(options, name) for name in CHOOSING if getattr(options, name) is not None}
    lengths = {"max_new_tokens": options.max_new_tokens, "seed": options.seed}
    return Sampling(**{"temperature": TEMPERATURE, **given, **lengths})


def _search(options: argparse.Namespace) -> BeamSearch | None:
    """None without --beams; raises InputError for options that do not go together."""
    if options.beams is None:
        if options.length_penalty is not None:
            raise InputError("--length-penalty is set, but --beams is not")
        return None
    for name in CHOOSING:
        if getattr(options, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} does not go with --beams")
    penalty = 1.0 if options.length_penalty is None else options.length_penalty
    return BeamSearch(options.beams, penalty, options.max_new_tokens)
