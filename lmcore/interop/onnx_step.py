"""One step of a recurrent model as an ONNX file: token ids and the state in, logits and the new state out.

Left out: reading a prompt in one go, which would be a loop in the file; and Transformers, whose cache first
grows and then slides, which one graph of a step does not do.
"""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.durable import replace_file
from lmcore.errors import InputError
from lmcore.model import map_state
from lmcore.rnn import RecurrentLM
from lmcore.step import tensors_in

NEEDED = ("onnx", "onnxscript")
ROWS = 2  # of the example that is traced; with 1 the batch would be taken for fixed


class Step(nn.Module):
    """A model whose state is a flat tuple of tensors (B, D), for one token per row."""

    def __init__(self, model: RecurrentLM):
        super().__init__()
        self.model = RecurrentLM(model.config, fast=False).to(next(model.parameters()))
        self.model.load_state_dict(model.state_dict())
        self.eval()

    def example(self) -> tuple[Int[Tensor, "B 1"], tuple[Tensor, ...]]:
        """Tokens and a state to trace with."""
        tokens = torch.zeros(ROWS, 1, dtype=torch.long, device=self.model.embedding.weight.device)
        return tokens, tuple(tensors_in(self.model.initial_state(ROWS)))

    def forward(
        self, tokens: Int[Tensor, "B 1"], state: tuple[Tensor, ...]
    ) -> tuple[Float[Tensor, "B V"], tuple[Tensor, ...]]:
        """Logits for the next token, and the new state."""
        parts = iter(state)
        nested = map_state(lambda _: next(parts), self.model.initial_state(1))
        logits, after = self.model(tokens, nested)
        return logits[:, 0], tuple(tensors_in(after))


def save_step(path: str | Path, model: nn.Module) -> None:
    """Write the ONNX file, whole or not at all.

    Inputs are ``tokens``, ``state_0``, ``state_1`` and so on, outputs ``logits``, ``new_state_0`` and so on.
    Raises InputError for a model that is not recurrent, and where onnx or onnxscript are not installed.
    """
    if not isinstance(model, RecurrentLM):
        raise InputError(f"the model is a {type(model).__name__}; as ONNX goes the step of a RecurrentLM")
    for package in NEEDED:
        try:
            importlib.import_module(package)
        except ImportError:
            raise InputError(f"ONNX needs the package {package}: pip install {' '.join(NEEDED)}") from None
    step = Step(model)
    tokens, state = step.example()
    with _quiet():
        program = _traced(step, tokens, state)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: program.save(temporary, external_data=False))


def _traced(step: Step, tokens: Tensor, state: tuple[Tensor, ...]) -> torch.onnx.ONNXProgram:
    return torch.onnx.export(
        step,
        (tokens, state),
        input_names=["tokens", *(f"state_{i}" for i in range(len(state)))],
        output_names=["logits", *(f"new_state_{i}" for i in range(len(state)))],
        dynamic_shapes=({0: "batch"}, tuple({0: torch.export.Dim.DYNAMIC} for _ in state)),
        custom_translation_table={torch.ops.aten.log_sigmoid.default: _log_sigmoid},
        dynamo=True,
        verbose=False,
    )


def _log_sigmoid(x):
    """ln sigmoid(x) = -softplus(-x): the exporter's own Log(Sigmoid(x)) is off where sigmoid(x) is tiny."""
    opset = importlib.import_module("onnxscript").opset18
    return opset.Neg(opset.Softplus(opset.Neg(x)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says about its own inside, and about torchvision, which nothing here needs."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            yield
    finally:
        registration.setLevel(level)
