"""lmcore asks nobody and tells nobody: a whole run opens no socket, and the hub's telemetry is off."""

import os
import subprocess
import sys
from pathlib import Path

import lmcore

ROOT = Path(lmcore.__file__).parents[1]
WATCHED = """
import sys
seen = []
sys.addaudithook(lambda event, arguments: seen.append(event) if event.startswith("socket.") else None)
import socket
{work}
print("sockets:", [event for event in seen if event != "socket.gethostname"])  # that asks only this machine
"""
RUN = """
import lmcore
from lmcore.__main__ import main
train = ["train", "--corpus", "text.txt", "--tokenizer", "char", "--out", "run", "--max-steps", "2"]
assert main([*train, "--emb-dim", "8", "--batch-size", "2", "--seq-len", "8", "--device", "cpu"]) == 0
assert main(["evaluate", "--checkpoint", "run", "--corpus", "text.txt", "--device", "cpu"]) == 0
assert main(["generate", "--checkpoint", "run", "--device", "cpu"]) == 0
"""
ASK = 'socket.getaddrinfo("localhost", 443)'


def sockets_of(work: str, folder: Path) -> str:
    """The last line that a fresh process prints: what it did with sockets."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):  # as a reader has it
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(work=work)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_training_scoring_and_writing_open_no_socket(tmp_path, documents):
    (tmp_path / "text.txt").write_text("\n".join(documents), encoding="utf-8")
    assert sockets_of(RUN, tmp_path) == "sockets: []"


def test_a_socket_would_be_seen(tmp_path):
    assert sockets_of(ASK, tmp_path) == "sockets: ['socket.getaddrinfo']"


def test_the_telemetry_of_the_hub_is_off(tmp_path):
    ask = "import lmcore, huggingface_hub\nassert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY"
    assert sockets_of(ask, tmp_path) == "sockets: []"
