"""What `python -m lmcore` understands: commands, options, their help."""

import argparse
from collections.abc import Callable

from lmcore.errors import InputError
from lmcore.generate_command import add_generate_options
from lmcore.interop.export import FORMATS
from lmcore.output import OUTPUTS
from lmcore.rnn import CELLS
from lmcore.sources.reading import Reading

MODELS = (*CELLS, "transformer")
Command = Callable[[argparse.Namespace], None]

EXAMPLES = """examples:
  python -m lmcore train --out runs/first --max-seconds 60
  python -m lmcore train --out runs/lstm --model lstm --emb-dim 512 --num-layers 1 --tie-weights --dropout 0.3
  python -m lmcore train --out runs/gpt --model transformer --heads 4 --context 128
  python -m lmcore train --corpus my_book.txt --tokenizer char --out runs/mine --max-steps 500
  python -m lmcore train --corpus news.jsonl.gz --field body --out runs/news
  python -m lmcore train --preset reference --out runs/reference
  torchrun --nproc-per-node=2 -m lmcore train --out runs/two --batch-size 64
  python -m lmcore runs runs
  python -m lmcore evaluate --checkpoint runs/first
  python -m lmcore generate --checkpoint runs/first --prompt "The President" --temperature 0.8
  python -m lmcore export --checkpoint runs/first --to huggingface --out exported/first
"""


PRESETS = {
    # The set-up of the reference course: each line of text cut to 30 tokens, one pass in batches of 128.
    "reference": {
        "tokenizer": "microsoft/Phi-3.5-mini-instruct",
        "replace_numbers": "###",
        "batches": "sentences",
        "seq_len": 30,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "model": "elman",
        "emb_dim": 128,
        "num_layers": 2,
    },
}


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is something to show."""

    def _get_help_string(self, action):
        return super()._get_help_string(action) if action.default else action.help


def make_parser(
    train: Command, evaluate: Command, generate: Command, export: Command, runs: Command
) -> argparse.ArgumentParser:
    """The parser; ``options.run`` of what it returns is the chosen command."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcore",
        description="Train a small language model on text, score it, and let it write.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands, train)
    _add_evaluate(commands, evaluate)
    _add_generate(commands, generate)
    _add_export(commands, export)
    _add_runs(commands, runs)
    return parser


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options; those of a preset hold where the command line names no other, wherever it stands."""
    options = parser.parse_args(arguments)
    if getattr(options, "preset", None) is not None:
        options.parser.set_defaults(**PRESETS[options.preset])
        options = parser.parse_args(arguments)
    del options.parser
    return options


def reading_of(options: argparse.Namespace) -> Reading:
    """How the corpus is read; raises InputError for a value that no source could take."""
    gigabytes = {}
    if options.max_gb is not None:
        if not 0 < options.max_gb < float("inf"):
            raise InputError(f"--max-gb is {options.max_gb}; it must be above 0, and finite")
        gigabytes = {"max_bytes": int(options.max_gb * 1e9)}
    return Reading(
        field=options.field,
        skip_bad=options.skip_bad,
        split=options.split,
        max_documents=options.max_documents,
        sha256=options.sha256,
        **gigabytes,
    )


def check_train(options: argparse.Namespace) -> None:
    """Raises InputError for options of `train` that do not go together, before any work is done."""
    others = ("variational", "residual") if options.model == "transformer" else ("heads", "context")
    for name in others:
        if not any(getattr(options, name) is unset for unset in (None, False)):  # 0 is a choice, too
            raise InputError(f"--{name} does not go with --model {options.model}")
    if options.variational and not options.dropout:
        raise InputError("--variational is set, but --dropout is 0")
    if options.eval_size is not None and options.eval_size < 1:
        raise InputError(f"eval_size is {options.eval_size}; it must be at least 1")
    if options.cuda_graph and options.output != "softmax":
        raise InputError(f"--cuda-graph needs --output softmax; {options.output} asks the GPU for sizes")
    if options.cuda_graph and options.model == "transformer":
        raise InputError("--cuda-graph needs a recurrent model: a Transformer's cache grows at first")


def _add_command(commands, name: str, run: Command, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary, formatter_class=_Help)
    parser.set_defaults(run=run, parser=parser)
    return parser


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where the text comes from (default: State of the Union messages)")
    add = group.add_argument
    add(
        "--corpus",
        metavar="SOURCE",
        help="a file or folder of .txt or .jsonl, also with .gz or .zst; a .zip or .tar of such; "
        "https://...; or hf:NAME[:CONFIG] for a dataset of the Hugging Face hub",
    )
    add("--field", metavar="NAME", help="what holds the text, in .jsonl and hf: (default: text)")
    add("--skip-bad", action="store_true", help="there, count lines that hold no text and go on")
    add("--split", metavar="NAME", help="for hf: (default: train)")
    add("--max-documents", type=int, metavar="N", help="for hf: read no further than N documents")
    add("--sha256", metavar="HEX", help="for https:, and needed there: the checksum of the file")
    add("--max-gb", type=float, metavar="X", help="stop fetching or unpacking a file at X GB (default: 16)")
    add("--cache", metavar="DIR", help="where files are kept for the next time (default: ~/.cache/lmcore)")


def _add_batches(parser) -> None:
    parser.add_argument(
        "--batches",
        choices=("streams", "sentences"),
        default="streams",
        help="streams: long text, the state carried along; sentences: padded rows, each from an empty state",
    )


def _add_train(commands, run: Command) -> None:
    parser = _add_command(commands, "train", run, "Train a model and save it in a folder.")
    add = parser.add_argument
    _add_corpus(parser)
    add(
        "--preset", choices=tuple(PRESETS), help="options of a known set-up; those given beside it count more"
    )
    add("--out", metavar="DIR", required=True, help="folder of the run; one that was stopped there goes on")
    group = parser.add_argument_group("how long (default: one pass over the training text)")
    group.add_argument("--max-steps", type=int, metavar="N", help="stop after N gradient steps")
    group.add_argument("--max-seconds", type=float, metavar="S", help="or after S seconds of training")
    group = parser.add_argument_group("text")
    add = group.add_argument
    add("--tokenizer", default="bpe", help="bpe, char, word, or the name of a pretrained tokenizer")
    add("--vocab-size", type=int, default=8192, metavar="V", help="tokens, for bpe and word")
    add("--replace-numbers", metavar="TEXT", help="read this in place of each number, as '###'")
    _add_batches(group)
    add("--batch-size", type=int, default=32, metavar="B", help="rows per step, over all processes")
    add("--seq-len", type=int, default=32, metavar="T", help="tokens per row and step")
    _add_model(parser.add_argument_group("model"))
    group = parser.add_argument_group("training")
    add = group.add_argument
    add("--learning-rate", type=float, default=3e-3, metavar="R", help="at its peak")
    add("--accumulate", type=int, default=1, metavar="N", help="work through a batch in N parts: less memory")
    add("--eval-every", type=int, metavar="N", help="validate every N steps")
    add("--save-every", type=int, metavar="N", help="keep a snapshot every N steps, not only at validations")
    add("--tensorboard", action="store_true", help="write for TensorBoard, too (pip install tensorboard)")
    add("--eval-size", type=int, metavar="N", help="on about N characters (default: all held-out text)")
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
    add("--cuda-graph", action="store_true", help="on CUDA, with streams: record the step and replay it")


def _add_model(group) -> None:
    add = group.add_argument
    add("--model", choices=MODELS, default="elman", help="a recurrent cell, or a Transformer")
    add("--emb-dim", type=int, default=128, metavar="D", help="width of embedding and layers")
    add("--num-layers", type=int, default=2, metavar="N", help="layers, one on the other")
    add("--tie-weights", action="store_true", help="one matrix for embedding and output")
    add(
        "--output",
        choices=tuple(OUTPUTS),
        default="softmax",
        help="softmax is exact; adaptive and sampled are cheaper where V is large",
    )
    add("--emb-std", type=float, metavar="S", help="normal start of the embedding (default: Xavier)")
    add("--dropout", type=float, default=0.0, metavar="P", help="probability of dropping a number")
    add("--label-smoothing", type=float, default=0.0, metavar="E", help="share of the target for all tokens")
    add("--variational", action="store_true", help="recurrent: one dropout mask per row, held over time")
    add("--residual", action="store_true", help="recurrent: layer norm, and a detour around each layer")
    add("--heads", type=int, metavar="N", help="transformer: attention heads (default: 4)")
    add("--context", type=int, metavar="N", help="transformer: tokens a layer looks at (default: 128)")


def _add_evaluate(commands, run: Command) -> None:
    parser = _add_command(commands, "evaluate", run, "Score a trained model on held-out text.")
    parser.add_argument("--checkpoint", metavar="DIR", required=True, help="folder written by train")
    _add_corpus(parser)
    _add_batches(parser)
    parser.add_argument(
        "--part",
        choices=("validation", "test", "train", "all"),
        default="validation",
        help="which part of the corpus; use test once, for the number that you report",
    )
    parser.add_argument(
        "--reset-every",
        type=int,
        metavar="K",
        help="empty the state after every K tokens (default: carry it through each document)",
    )
    parser.add_argument("--by-position", action="store_true", help="also the loss by tokens read before")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def _add_runs(commands, run: Command) -> None:
    parser = _add_command(commands, "runs", run, "List the runs below a folder and how they are doing.")
    parser.add_argument("folder", nargs="?", default="runs", metavar="FOLDER", help="where they are")


def _add_export(commands, run: Command) -> None:
    parser = _add_command(commands, "export", run, "Write a trained model for other libraries.")
    add = parser.add_argument
    add("--checkpoint", metavar="DIR", required=True, help="folder written by train")
    add(
        "--to",
        choices=FORMATS,
        required=True,
        help="huggingface: loads with transformers; onnx: one step of a recurrent model, for any runtime",
    )
    add("--out", metavar="DIR", required=True, help="a new folder; its README.md says how to load it")


def _add_generate(commands, run: Command) -> None:
    add_generate_options(_add_command(commands, "generate", run, "Let a trained model go on from a prompt."))
