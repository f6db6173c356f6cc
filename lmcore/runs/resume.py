"""What training needs to go on, as named tensors and JSON, and back: weights, optimizer, states, chance.

Names: ``model.*`` (a tied matrix once), ``optimizer.<parameter>.<what>``, ``state.<number>``,
``random.<device>``. The rank that is not the first keeps its own states and random numbers only: the weights
of all processes are the same.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.errors import InputError
from lmcore.snapshot import Snapshot, describe, rebuild
from lmcore.step import Step


def pack(step: Step, states: list[Any] | None) -> Snapshot:
    """Everything about weights, optimizer, carried states and random numbers of one process.

    Raises InputError for a state that is no nested list of tensors.
    """
    carried: list[Tensor] = []
    about = {"state": describe(states, carried), "scaler": step.scaler.state_dict()}
    tensors = {f"state.{number}": tensor for number, tensor in enumerate(carried)}
    tensors |= {f"random.{device}": numbers for device, numbers in _random_states(step.device).items()}
    if step.world.is_first:
        tensors |= {f"model.{name}": tensor for name, tensor in weights(step.model).items()}
        for name, parameter in step.model.named_parameters():
            for what, tensor in step.optimizer.state[parameter].items():
                tensors[f"optimizer.{name}.{what}"] = tensor
    return Snapshot(about, tensors)


def unpack(own: Snapshot, first: Snapshot, step: Step) -> list[Any] | None:
    """Put a snapshot into the step's model and optimizer and into PyTorch's generators; returns the states.

    ``own`` is of this process, ``first`` of rank 0. Raises InputError if it does not fit.
    """
    try:
        load_weights(step.model, first.tensors)
        _load_optimizer(step, first.tensors)
        step.scaler.load_state_dict(first.about["scaler"])
        states = rebuild(own.about["state"], _numbered(own.tensors), step.device)
        _set_random_states(step.device, own.tensors)
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, RuntimeError, StopIteration) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise InputError(f"the snapshot does not fit this run: {reason}") from None
    return states


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; what is shared comes once, under its first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def first_broken(model: nn.Module) -> str | None:
    """Which parameter holds numbers that are NaN or infinite, in words; None if all are numbers."""
    for name, parameter in model.named_parameters():
        wrong = parameter.numel() - int(parameter.isfinite().sum())
        if wrong:
            return f"{name} holds {wrong:,} numbers that are NaN or infinite"
    return None


@torch.no_grad()
def load_weights(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy ``model.*`` into a model. Raises InputError for other names, shapes or types than it has."""
    prefix = "model."
    found = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    wanted = weights(model)
    for name in sorted(set(found) ^ set(wanted)):
        where = "the model has none" if name in found else "the snapshot has none"
        raise InputError(f"the snapshot is of another model: {name}, of which {where}")
    for name, tensor in wanted.items():
        _check_same(name, found[name], tensor)
        tensor.copy_(found[name])


def _check_same(name: str, found: Tensor, wanted: Tensor) -> None:
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        raise InputError(
            f"the snapshot is of another model: {name} is {tuple(found.shape)} {found.dtype} there, "
            f"but {tuple(wanted.shape)} {wanted.dtype} here"
        )


def _load_optimizer(step: Step, tensors: dict[str, Tensor]) -> None:
    parameters = dict(step.model.named_parameters())
    step.optimizer.state.clear()
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            of, _, what = name.removeprefix("optimizer.").rpartition(".")
            parameter = parameters[of]
            if tensor.ndim:  # a moment, not the number of steps
                _check_same(name, tensor, parameter)
            step.optimizer.state[parameter][what] = tensor.to(parameter.device, copy=True)


def _numbered(tensors: dict[str, Tensor]) -> Iterator[Tensor]:
    number = 0
    while f"state.{number}" in tensors:
        yield tensors[f"state.{number}"]
        number += 1


def _random_states(device: torch.device) -> dict[str, Tensor]:
    """Of the CPU's generator and the device's."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_random_states(device: torch.device, tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors["random.cpu"].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"].clone(), device)
    elif device.type == "mps":
        torch.mps.set_rng_state(tensors["random.mps"].clone())
