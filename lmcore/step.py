"""One optimizer step: a batch in, a loss out, for any model under the contract.

Nothing here waits for a GPU: the loss, the gradient's norm and the learning rate stay on the device.
Left out: when to stop, what to write down (`lmcore.trainer`).
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lmcore.data import Batch
from lmcore.distributed import World
from lmcore.errors import InputError, TrainingError
from lmcore.loss import next_token_nats
from lmcore.model import map_state
from lmcore.train_config import TrainConfig

EAGER_STEPS = 3  # before a step is recorded: the optimizer and cuDNN allocate what they need first


class StepResult(NamedTuple):
    """``loss``: this process's share of the mean nats per token (all processes' shares add up to it)."""

    loss: Tensor
    grad_norm: Tensor  # before clipping
    states: list[Any]  # one per part of the batch, detached
    num_targets: int  # of the whole batch, over all processes


class Step:
    """Forward, backward and update for one batch, on this process's share of its rows.

    The batch is the global one: its rows are divided among the processes, and each share into
    ``accumulate`` parts, worked through one after the other. The loss is the mean over the real targets
    of the whole batch, so that neither division changes a gradient, apart from rounding. Raises
    InputError for a batch with fewer rows than that takes.
    """

    def __init__(
        self, model: nn.Module, config: TrainConfig, pad_id: int, device: torch.device, world: World
    ):
        self.model, self.config, self.pad_id = model, config, pad_id
        self.device, self.world = device, world
        self.optimizer = make_optimizer(model, config)
        self.autocast, self.scaler = mixed_precision(device, config.mixed_precision)
        self.loss: nn.Module = _Loss(model, pad_id)
        if world.size > 1:
            self.loss = DistributedDataParallel(self.loss, gradient_as_bucket_view=True)

    def __call__(self, batch: Batch, states: list[Any] | None, learning_rate: float) -> StepResult:
        self.set_learning_rate(learning_rate)
        parts, num_targets = self.share_of(batch)
        states = states if states is not None and batch.carries_state else [None] * len(parts)
        self.optimizer.zero_grad()
        losses, new_states = [], []
        for number, (part, state) in enumerate(zip(parts, states, strict=True), start=1):
            with self._sync_gradients(last=number == len(parts)):
                loss, state = self._backward(part, state, num_targets)
            losses.append(loss)
            new_states.append(detach(state))
        grad_norm = self.update()
        return StepResult(torch.stack(losses).sum(), grad_norm, new_states, num_targets)

    def set_learning_rate(self, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def share_of(self, batch: Batch) -> tuple[list[Batch], int]:
        """This process's parts of the batch, and the number of real targets in the whole of it."""
        each, size = self.config.accumulate, self.world.size
        if batch.lengths is None:
            batch = batch._replace(lengths=(batch.targets != self.pad_id).sum(dim=1).cpu().numpy())
        shares = batch.split(size)
        return shares[self.world.rank].split(each), int(batch.lengths.sum())

    def _sync_gradients(self, last: bool):
        """Gradients travel between the processes once per step, with the last part."""
        return self.loss.no_sync() if self.world.size > 1 and not last else nullcontext()

    def _backward(self, part: Batch, state: Any, num_targets: int) -> tuple[Tensor, Any]:
        inputs = part.inputs.to(self.device, non_blocking=True)
        targets = part.targets.to(self.device, non_blocking=True)
        with self.autocast:
            nats, state = self.loss(inputs, targets, state, int(part.lengths.sum()))
            loss = nats / num_targets
        # DistributedDataParallel takes the mean over processes, but shares of one mean must be added
        self.scaler.scale(loss * self.world.size).backward()
        return loss.detach(), state

    def update(self) -> Tensor:
        """Clip, then step; returns the length of the gradient before clipping."""
        self.scaler.unscale_(self.optimizer)
        grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return grad_norm


class _Loss(nn.Module):
    """The loss as a forward pass, which is where DistributedDataParallel hooks itself in."""

    def __init__(self, model: nn.Module, pad_id: int):
        super().__init__()
        self.model, self.pad_id = model, pad_id

    def forward(self, inputs, targets, state, num_targets):
        nats, _, state = next_token_nats(self.model, inputs, targets, self.pad_id, state, num_targets)
        return nats, state


class GraphedStep:
    """A `Step` that is recorded as one CUDA graph and then replayed: one launch instead of hundreds.

    The first steps run as they are; the batch, the state and the learning rate of later ones are copied
    into the tensors that the recording read. So every batch needs the same shape and no padding
    (`StreamBatches`), and one process. Written to PyTorch's rules for capture; not run by us yet, because
    no GPU was at hand: check a run's losses against one without it.
    """

    def __init__(self, step: Step):
        if step.device.type != "cuda":
            raise InputError(f"cuda_graph is set, but the device is {step.device.type}")
        if step.world.size > 1 or step.config.accumulate > 1 or step.scaler.is_enabled():
            raise InputError("cuda_graph needs one process, accumulate 1 and a card with bfloat16")
        if not all(part.numel() for part in tensors_in(step.model.initial_state(1))):
            raise InputError("cuda_graph needs a state of one size; this model's grows as it reads")
        self.step, self.eager_steps = step, 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch, states: list[Any] | None, learning_rate: float) -> StepResult:
        if batch.lengths is None or batch.lengths.min() < batch.targets.shape[1]:
            raise InputError("cuda_graph is set, but a batch holds padding; use streams")
        # a first window has no state to copy from, so recording waits for one that has
        if self.graph is None and (self.eager_steps < EAGER_STEPS or states is None):
            self.eager_steps += 1
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # capture asks that warm-up ran on a side stream
                result = self.step(batch, states, learning_rate)
            torch.cuda.current_stream().wait_stream(stream)
            return result
        if self.graph is None:
            self._record(batch, states)
        return self._replay(batch, states, learning_rate)

    def _record(self, batch: Batch, states: list[Any]) -> None:
        self.inputs, self.targets = (t.to(self.step.device).clone() for t in batch[:2])
        self.state = map_state(torch.clone, states[0])
        static = Batch(self.inputs, self.targets, True, batch.lengths)
        self.step.optimizer.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            loss, new_state = self.step._backward(static, self.state, int(batch.lengths.sum()))
            self.grad_norm = self.step.update()
            for held, new in zip(tensors_in(self.state), tensors_in(new_state), strict=True):
                held.copy_(new.detach())
        self.loss = loss

    def _replay(self, batch: Batch, states: list[Any] | None, learning_rate: float) -> StepResult:
        self.step.set_learning_rate(learning_rate)
        self.inputs.copy_(batch.inputs, non_blocking=True)
        self.targets.copy_(batch.targets, non_blocking=True)
        self._set_state(states[0] if batch.carries_state else None)
        self.graph.replay()
        return StepResult(self.loss.clone(), self.grad_norm.clone(), [self.state], int(batch.lengths.sum()))

    def _set_state(self, state: Any) -> None:
        """Copy a state into the recorded one; None: the empty state, which is zeros."""
        if state is None:
            for held in tensors_in(self.state):
                held.zero_()
        elif state is not self.state:
            for held, given in zip(tensors_in(self.state), tensors_in(state), strict=True):
                held.copy_(given)


def make_step(step: Step) -> Callable[[Batch, list[Any] | None, float], StepResult]:
    """The step as it is, or recorded as a CUDA graph where the configuration asks for that."""
    return GraphedStep(step) if step.config.cuda_graph else step


def guarded(
    take_step: Callable[[Batch, list[Any] | None, float], StepResult],
    batch: Batch,
    states: list[Any] | None,
    learning_rate: float,
    config: TrainConfig,
) -> StepResult:
    """One step. Raises TrainingError, which says what to change, if the GPU's memory does not suffice."""
    try:
        return take_step(batch, states, learning_rate)
    except torch.OutOfMemoryError as error:
        B, T = batch.inputs.shape
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"out of GPU memory at batch_size {B}, seq_len {T}, accumulate {config.accumulate}: lower the "
            f"first two or raise the last ({reason})"
        ) from None


def detach(state: Any) -> Any:
    """The same state without its past: backpropagation through time is cut here."""
    return map_state(Tensor.detach, state)


def tensors_in(state: Any) -> list[Tensor]:
    """Every tensor of a nested state, in order."""
    found: list[Tensor] = []
    map_state(lambda tensor: found.append(tensor) or tensor, state)
    return found


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with weight decay on matrices only.

    On CUDA the learning rate is a tensor there, and the step can be part of a CUDA graph.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    on_cuda = parameters[0].is_cuda
    rate = (
        torch.tensor(config.learning_rate, device=parameters[0].device) if on_cuda else config.learning_rate
    )
    return torch.optim.AdamW(groups, lr=rate, betas=config.betas, fused=True, capturable=on_cuda)


def mixed_precision(device: torch.device, wanted: bool) -> tuple[torch.autocast, torch.amp.GradScaler]:
    """Autocast and gradient scaler: active on CUDA only.

    Cards before Ampere report bfloat16 but emulate it slowly; they get float16, whose small range
    needs the loss scaled.
    """
    active = wanted and device.type == "cuda"
    native = active and torch.cuda.get_device_capability(device)[0] >= 8
    dtype = torch.bfloat16 if native or not active else torch.float16
    autocast = torch.autocast(device.type, dtype=dtype, enabled=active)
    return autocast, torch.amp.GradScaler(device.type, enabled=active and not native)
