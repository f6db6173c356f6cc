"""Train the Elman network of the course on the text that NEXT_WORD_CORPUS names, unless that is done.

    make model CORPUS=shakespeare.txt

The settings are those of the committed network, but for the number of steps: four passes over the text, as it
had over the built-in one. What was stopped goes on when it is called again.
"""

import sys

import torch

import lmcore
from lmcore.course import course_source, run_folder
from lmcore.record import Run
from lmcore.runs.folder import RECORD

PASSES, VALIDATIONS = 4, 8


def train(corpus: lmcore.Corpus, settings: dict) -> Run:
    """Train in the folder where `course_run` looks; raises InputError if the text has too few tokens."""
    size = settings["model"]["vocab_size"]
    tokenizer = lmcore.train_bpe(corpus.train, size)
    if tokenizer.vocab_size < size:
        raise lmcore.InputError(
            f"{corpus.name} gives a vocabulary of {tokenizer.vocab_size:,} tokens; the course needs {size:,}"
        )
    documents = tokenizer.encode_documents(corpus.train)
    torch.manual_seed(settings["train"]["seed"])
    model = lmcore.RecurrentLM(lmcore.RNNConfig(**without(settings["model"], "class")))
    model.start_from_frequencies(lmcore.UnigramLM(documents, size).log_probs)
    options = settings["options"]
    batches = lmcore.StreamBatches(documents, options["batch_size"], options["seq_len"], options["seed"])
    steps = PASSES * len(batches)
    scaled = {"max_steps": steps, "eval_every": max(1, steps // VALIDATIONS)}
    config = lmcore.TrainConfig(**{**tuples(settings["train"]), **scaled})
    held_out = tokenizer.encode_documents(corpus.validation)
    validation = lmcore.DocumentBatches(held_out, tokenizer.pad_id)
    about = {"corpus": corpus.name, "corpus_sha256": corpus.sha256}
    folder = run_folder(corpus)
    return lmcore.Trainer(model, batches, tokenizer, config, validation, about, folder=folder).fit()


def tuples(settings: dict) -> dict:
    """JSON has lists only."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}


def without(settings: dict, name: str) -> dict:
    return {key: value for key, value in settings.items() if key != name}


def main() -> None:
    if course_source() is None:
        sys.exit("no text is named: make model CORPUS=PATH")
    try:
        corpus = lmcore.course_corpus()
        record = run_folder(corpus) / RECORD
        if not record.is_file():
            committed = lmcore.load_record(lmcore.committed("elman_2x256/record.json"))
            print(f"training the network of the course on {corpus}", flush=True)
            train(corpus, committed.settings).save(record)
        print(f"==> the network of the course for {corpus.name}: {record.parent}")
    except (lmcore.InputError, lmcore.TrainingError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
