"""Shared set-up: shapes and types of lmcore are checked here, under pytest, and nowhere else."""
# ruff: noqa: E402 - two things have to be set before anything is imported

import os
import signal
import socket
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported: no test uses the network

import jaxtyping

jaxtyping.install_import_hook("lmcore", "beartype.beartype")  # before lmcore is imported

from pathlib import Path

import hypothesis
import matplotlib
import pytest
import torch

import lmcore
from lmcore.__main__ import main

hypothesis.settings.register_profile("any machine", deadline=None)  # slowness is no failure
hypothesis.settings.load_profile("any machine")
torch.set_num_threads(1)  # tensors are tiny here, and one thread adds up in one order

DOCUMENTS = (Path(__file__).parent / "documents.txt").read_text(encoding="utf-8").split("\n\n")


@pytest.fixture(autouse=True, scope="session")
def _cache_of_our_own(tmp_path_factory):
    """Token files go into a temporary folder; matplotlib keeps its own cache, which takes long to make."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _same_random_numbers():
    """No test depends on which ran before it."""
    torch.manual_seed(0)


_cuda_is_available = torch.cuda.is_available


@pytest.fixture
def cuda(_no_gpu_and_no_network, monkeypatch) -> torch.device:
    """The GPU, for the few tests that need one."""
    if not _cuda_is_available():
        pytest.skip("this machine has no CUDA device")
    monkeypatch.setattr(torch.cuda, "is_available", _cuda_is_available)
    return torch.device("cuda")


@pytest.fixture(autouse=True)
def _no_gpu_and_no_network(monkeypatch):
    """Tests find the same machine everywhere: a CPU, and nobody to ask."""
    lookup = socket.getaddrinfo

    def local_only(host, *arguments, **options):
        if host not in (None, "localhost", "127.0.0.1", "::1"):
            raise socket.gaierror(f"no test looks up {host}")
        return lookup(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local_only)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture(scope="session")
def documents() -> list[str]:
    """Thirty invented documents of three sentences each."""
    assert len(DOCUMENTS) == 30
    return DOCUMENTS


@pytest.fixture(scope="session")
def corpus(documents) -> lmcore.Corpus:
    return lmcore.split_documents("tiny", documents)


@pytest.fixture(scope="session")
def char(documents) -> lmcore.Tokenizer:
    return lmcore.train_char(documents)


@pytest.fixture(scope="session")
def word(documents) -> lmcore.Tokenizer:
    return lmcore.train_word(documents)


@pytest.fixture(scope="session")
def bpe(documents) -> lmcore.Tokenizer:
    return lmcore.train_bpe(documents, vocab_size=400)


@pytest.fixture(scope="session", params=["char", "word", "bpe"])
def tokenizer(request) -> lmcore.Tokenizer:
    """Each kind of tokenizer in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def text_file(tmp_path, documents) -> Path:
    """The documents as one text file."""
    path = tmp_path / "tiny.txt"
    path.write_text("\n".join(documents), encoding="utf-8")
    return path


@pytest.fixture
def quick_path(tmp_path_factory):
    """As ``tmp_path``, in memory where that is possible: flushing to a disk takes longer than training."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield tmp_path_factory.mktemp("on_disk")
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="lmcore-tests-") as folder:
        yield Path(folder)


@pytest.fixture
def model() -> lmcore.RecurrentLM:
    """Two layers of width 8 over 20 tokens, in float64; token 0 is padding."""
    torch.manual_seed(1)
    return lmcore.RecurrentLM(lmcore.RNNConfig(vocab_size=20, emb_dim=8)).double().eval()


@pytest.fixture
def make_trainer(documents):
    """A trainer of a tiny model on streams of the documents; its log goes into a list."""

    def make(tokenizer, seed: int = 0, dropout: float = 0.0, **settings) -> lmcore.Trainer:
        torch.manual_seed(seed)
        config = lmcore.RNNConfig(vocab_size=tokenizer.vocab_size, emb_dim=16, dropout=dropout)
        encoded = tokenizer.encode_documents(documents)
        return lmcore.Trainer(
            lmcore.RecurrentLM(config),
            lmcore.StreamBatches(encoded[:25], batch_size=4, seq_len=8, seed=seed),
            tokenizer,
            lmcore.TrainConfig(**{"max_steps": 12, "device": "cpu", "seed": seed, **settings}),
            lmcore.DocumentBatches(encoded[25:], tokenizer.pad_id),
            about={"corpus": "tiny"},
            log=[].append,
        )

    return make


@pytest.fixture
def run(capfd):
    """Run a command in this process; returns exit status, standard output, standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, *capfd.readouterr()

    return run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, documents) -> Path:
    """Folder of a char model that the command line has trained for three steps."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text("\n".join(documents), encoding="utf-8")
    options = ["--tokenizer=char", "--emb-dim=8", "--batch-size=2", "--seq-len=12", "--max-steps=3"]
    arguments = ["train", f"--corpus={folder}/text.txt", f"--out={folder}/model", *options]
    assert main([*arguments, "--device=cpu"]) == 0
    return folder / "model"


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Ctrl-C arrives: a shell that starts the tests in the background makes them deaf to it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
