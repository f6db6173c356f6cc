"""Inside one training step: what state goes in, how long the gradient is, what is written down."""

import copy
import dataclasses
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmcore.data import SentenceBatches, StreamBatches
from lmcore.errors import InputError
from lmcore.record import load_record
from lmcore.step import GraphedStep, detach, make_optimizer, tensors_in
from lmcore.train_config import TrainConfig, learning_rate_at
from lmcore.trainer import Trainer


class Spy(nn.Module):
    """Predicts frequencies and counts the windows it has read in its state, which is part of the graph."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocab_size))
        self.given: list = []

    def forward(self, tokens, state=None):
        self.given.append(state)
        windows = (0.0 if state is None else state[0]) + 1.0 + 0 * self.weight[0]
        return self.weight.expand(*tokens.shape, -1), [windows, (windows,)]


def fit_spy(char, batches, steps: int) -> list:
    spy = Spy(char.vocab_size)
    config = TrainConfig(max_steps=steps, device="cpu")
    Trainer(spy, batches, char, config, log=[].append).fit()
    return spy.given


def test_state_is_carried_between_windows_detached_and_dropped_at_the_epoch(char, documents):
    encoded = char.encode_documents(documents[:3])
    seq_len = (sum(map(len, encoded)) - 1) // 2 // 3  # three windows in an epoch
    batches = StreamBatches(encoded, batch_size=2, seq_len=seq_len)
    assert len(batches) == 3
    given = fit_spy(char, batches, steps=7)
    values = [None if state is None else state[0].item() for state in given]
    assert values == [None, 1.0, 2.0, None, 1.0, 2.0, None]
    for state in filter(None, given):
        assert not state[0].requires_grad
        assert not state[1][0].requires_grad


def test_sentences_start_from_an_empty_state(char, documents):
    batches = SentenceBatches(char.encode_documents(documents), 8, 20, char.pad_id)
    assert fit_spy(char, batches, steps=6) == [None] * 6


def test_each_epoch_has_a_number_of_its_own(char, documents, monkeypatch):
    batches = SentenceBatches(char.encode_documents(documents[:4]), 2, 20, char.pad_id)
    epoch, numbers = batches.epoch, []
    monkeypatch.setattr(batches, "epoch", lambda number: (numbers.append(number), epoch(number))[1])
    fit_spy(char, batches, steps=5)
    assert numbers == [0, 1, 2]


def test_detach_keeps_the_shape_of_a_state():
    h = torch.ones(2, requires_grad=True) * 2
    state = detach([h, (h, None), 3])
    assert not state[0].requires_grad
    assert isinstance(state[1], tuple)
    assert not state[1][0].requires_grad
    assert state[1][1] is None
    assert state[2] == 3
    assert torch.equal(state[0], h)


def test_every_tensor_of_a_nested_state_is_found_in_order():
    a, b, c = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    assert [len(part) for part in tensors_in([(a, b), [None, (c,)], 3])] == [1, 2, 3]


def test_a_recorded_step_copies_any_state_and_empties_it():
    step = GraphedStep.__new__(GraphedStep)  # no CUDA here: only how it keeps its state
    step.state = held = [(torch.ones(2), torch.ones(3)), torch.ones(4)]
    given = [(torch.full((2,), 5.0), torch.full((3,), 6.0)), torch.full((4,), 7.0)]
    step._set_state(given)
    assert [part[0].item() for part in tensors_in(step.state)] == [5, 6, 7]
    step._set_state(step.state)
    assert [part[0].item() for part in tensors_in(step.state)] == [5, 6, 7]
    step._set_state(None)
    assert all(part.count_nonzero() == 0 for part in tensors_in(held))
    assert all(part.count_nonzero() for part in tensors_in(given))


def test_equals_a_loop_written_by_hand(make_trainer, char):
    made = make_trainer(char, max_steps=5, warmup=0.4, learning_rate=0.05)
    model = copy.deepcopy(made.model.double())
    optimizer, state, losses = make_optimizer(model, made.config), None, []
    for step, batch in enumerate(itertools.islice(made.batches.epoch(0), 5), start=1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step / 5, made.config)
        logits, state = model(batch.inputs, state)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state = [h.detach() for h in state]
        losses.append(round(loss.item(), 5))
    assert [entry["loss"] for entry in made.fit().steps] == pytest.approx(losses, abs=2e-5)
    for one, other in zip(made.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=0)


def test_gradients_are_clipped_and_the_norm_before_is_recorded(make_trainer, char, monkeypatch):
    lengths = []
    made = make_trainer(char, clip_norm=0.01, max_steps=3)
    step = made.optimizer.step

    def look(*args, **kwargs):
        grads = torch.cat([p.grad.flatten() for p in made.model.parameters()])
        lengths.append(grads.norm().item())
        return step(*args, **kwargs)

    monkeypatch.setattr(made.optimizer, "step", look)
    run = made.fit()
    assert lengths == [pytest.approx(0.01, rel=1e-3)] * 3
    assert all(entry["grad_norm"] > 0.1 for entry in run.steps)


def test_the_loss_is_the_mean_over_real_tokens(char, documents):
    batches = SentenceBatches(char.encode_documents([documents[0], documents[1][:9]]), 2, 60, char.pad_id)
    made = Trainer(Spy(char.vocab_size), batches, char, TrainConfig(max_steps=1, device="cpu"), log=len)
    entry = made.fit().steps[0]
    assert entry["loss"] == pytest.approx(math.log(char.vocab_size), abs=1e-4)
    assert entry["tokens"] == 59 + 10


def test_record(make_trainer, char, tmp_path):
    made = make_trainer(char, prompts=("The",))
    run = made.fit()
    assert run is made.run
    assert run.settings["corpus"] == "tiny"
    assert run.settings["model"] == {"class": "RecurrentLM", **dataclasses.asdict(made.model.config)}
    assert run.settings["train"]["max_steps"] == 12
    run.save(tmp_path / "record.json")
    loaded = load_record(tmp_path / "record.json")
    assert (loaded.steps, loaded.validation, loaded.samples) == (run.steps, run.validation, run.samples)
    assert loaded.environment == run.environment
    loaded.save(tmp_path / "again.json")
    assert load_record(tmp_path / "again.json") == loaded


def test_nothing_goes_to_standard_error(make_trainer, char, capfd):
    make_trainer(char, prompts=("The",), eval_every=3).fit()
    assert capfd.readouterr() == ("", "")


def test_a_trainer_runs_once(make_trainer, char):
    made = make_trainer(char, max_steps=2)
    made.fit()
    with pytest.raises(InputError, match="has already run 2 steps"):
        made.fit()


def test_weight_decay_is_on_matrices_only(model):
    optimizer = make_optimizer(model, TrainConfig(max_steps=1, weight_decay=0.3, betas=(0.8, 0.95)))
    decayed = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decayed[id(p)] for name, p in model.named_parameters()} == {
        name: 0.0 if name.endswith((".b", "bias")) else 0.3 for name, _ in model.named_parameters()
    }
    assert {group["betas"] for group in optimizer.param_groups} == {(0.8, 0.95)}


def test_token_ids_go_where_the_model_is(make_trainer, char, monkeypatch):
    made, moved = make_trainer(char), []
    for source in (made.batches, made.validation):
        monkeypatch.setattr(source, "to", moved.append)
    Trainer(made.model, made.batches, char, made.config, made.validation)
    assert moved == [torch.device("cpu")] * 2
