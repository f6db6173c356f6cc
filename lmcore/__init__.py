"""lmcore: small recurrent language models, from text to generation, in PyTorch.

text -> tokens -> batches -> model -> loss -> step -> checkpoint -> metrics and plots -> generation
"""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported

from lmcore.applications import (
    QueryLikelihood,
    complete,
    complete_word,
    correct_word,
    misspellings,
    prefers_first,
    rank_documents,
    rescore,
    text_log_probs,
)
from lmcore.beam import BeamSearch, Hypothesis, beam_search, beam_search_ids
from lmcore.cells import Cell, ElmanCell
from lmcore.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, sign_checkpoint
from lmcore.corpus import Corpus, builtin_corpus, split_documents
from lmcore.counts import count_ngrams
from lmcore.course import course_corpus, course_run
from lmcore.data import (
    Batch,
    DocumentBatches,
    SentenceBatches,
    StreamBatches,
    corpus_tokens,
    shift,
    split_sentences,
)
from lmcore.distributed import World, join_world
from lmcore.errors import DivergedError, InputError, SaveError, TrainingError
from lmcore.gated import GRUCell, LSTMCell, SLSTMCell
from lmcore.generate import (
    Written,
    generate,
    generate_batch,
    generate_batch_ids,
    generate_ids,
    stream,
)
from lmcore.gpt import GPTConfig, TransformerLM
from lmcore.hub import make_tokenizer, pretrained
from lmcore.interop.export import export_checkpoint
from lmcore.loss import cross_entropy_nats, next_token_nats
from lmcore.metrics import Evaluation, PositionBin, count_words, evaluate
from lmcore.mixture import InterpolatedLM, fit_mixture, nats_of_targets
from lmcore.ngram import NGramLM, UnigramLM
from lmcore.output import AdaptiveOutput, SampledOutput, SoftmaxOutput
from lmcore.playground import export_playground, load_playground
from lmcore.plots import (
    COLOURS,
    plot_loss,
    plot_perplexity,
    plot_probabilities,
    plot_run,
    reference_lines,
)
from lmcore.prune import prune
from lmcore.record import Run, committed, load_record
from lmcore.rnn import CELLS, RecurrentLM, RNNConfig
from lmcore.runs.folder import RunFolder
from lmcore.runs.history import read_run
from lmcore.runs.listing import RunSummary, list_runs
from lmcore.runs.snapshots import load_best
from lmcore.runs.watch import TensorBoard
from lmcore.sampling import (
    Sampling,
    draw,
    draw_rows,
    filter_logits,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_typical,
    next_token_probs,
    penalise_repeats,
)
from lmcore.scan import MinGRUCell, MinLSTMCell, linear_recurrence, recurrence_loop, recurrence_tree
from lmcore.smoothing import kneser_ney, laplace, maximum_likelihood
from lmcore.snapshot import read_snapshot, write_snapshot
from lmcore.sources.cache import cache_folder
from lmcore.sources.reading import Reading
from lmcore.sources.source import corpus_from_path, open_corpus
from lmcore.tagger import BidirectionalTagger, TaggerConfig
from lmcore.tokenizer import Tokenizer, load_tokenizer, train_bpe, train_char, train_word
from lmcore.tokens import Tokens, token_file
from lmcore.train_config import TrainConfig, choose_device, learning_rate_at
from lmcore.trainer import Trainer

__version__ = "0.1.0"
