"""What only a GPU can show; every test here skips, saying so, where there is none."""

import pytest
import torch

from lmcore.loss import cross_entropy_nats
from lmcore.rnn import CELLS
from lmcore.step import Step, make_step, tensors_in
from lmcore.train_config import TrainConfig


def test_the_loss_equals_the_cpu_with_gradients(cuda):
    sizes = ((500, 32), (1000, 32), (1000,))
    on_cpu = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    targets = torch.randint(0, 1000, (500,))
    on_gpu = [tensor.detach().to(cuda).requires_grad_() for tensor in on_cpu]
    expected, found = cross_entropy_nats(*on_cpu, targets), cross_entropy_nats(*on_gpu, targets.to(cuda))
    torch.testing.assert_close(found.cpu(), expected, atol=1e-8, rtol=0)
    grads = torch.autograd.grad(expected, on_cpu), torch.autograd.grad(found, on_gpu)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(other.cpu(), one, atol=1e-8, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_loss_in_mixed_precision(cuda, dtype):
    sizes = ((500, 32), (1000, 32), (1000,))
    inputs = [torch.randn(size, device=cuda, requires_grad=True) for size in sizes]
    targets = torch.randint(0, 1000, (500,), device=cuda)
    exact = cross_entropy_nats(*inputs, targets)
    with torch.autocast("cuda", dtype):
        found = cross_entropy_nats(*inputs, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=5e-3, atol=0)


@pytest.mark.parametrize("name", CELLS)
def test_scan_on_cuda_equals_the_loop_with_gradients(cuda, name):
    cell = CELLS[name](16, 16).to(cuda).double()
    x = torch.randn(4, 9, 16, device=cuda, dtype=torch.float64, requires_grad=True)
    state = cell.initial_state(4)
    found, expected = ([out, *tensors_in(last)] for out, last in (cell.scan(x, state), cell.loop(x, state)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=0)
    totals = (sum(part.square().sum() for part in parts) for parts in (found, expected))
    grads = (torch.autograd.grad(total, [x, *cell.parameters()]) for total in totals)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-8, rtol=0)


def losses(make_trainer, char, **settings) -> torch.Tensor:
    run = make_trainer(char, max_steps=30, **settings).fit()
    return torch.tensor([step["loss"] for step in run.steps])


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_run_has_the_loss_curve_of_the_cpu(cuda, make_trainer, char, cuda_graph):
    expected = losses(make_trainer, char, device="cpu")
    found = losses(make_trainer, char, device="cuda", cuda_graph=cuda_graph)
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_step_never_waits_for_the_gpu(cuda, make_trainer, char, cuda_graph):
    made = make_trainer(char, device="cuda", cuda_graph=cuda_graph)
    take_step, states = make_step(made.step), None
    for number, batch in enumerate(made.batches.epoch(0)):
        torch.cuda.set_sync_debug_mode("error" if number > 5 else "default")  # a wait raises
        try:
            states = take_step(batch, states, 1e-3).states
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_the_optimizer_step_can_be_captured(cuda, make_trainer, char):
    made = make_trainer(char, device="cuda")
    assert isinstance(made.step, Step)
    assert isinstance(made.config, TrainConfig)
    for group in made.optimizer.param_groups:
        assert group["fused"]
        assert group["capturable"]
        assert group["lr"].is_cuda
