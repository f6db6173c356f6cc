"""Scheduled sampling: what is fed is what it says, teacher forcing is the trainer, measures are right."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import free_running, scheduled_sampling
from benchmarks.free_running import Contexts, Lengths
from benchmarks.scheduled_sampling import WAYS, Settings, Way
from benchmarks.vocabulary import Text

SHORT = Lengths(contexts=6, context=8, scored=3, replaced=4, given=3, written=6, entropy_over=2)


@pytest.fixture
def text(bpe, documents):
    ids = bpe.encode_documents(documents)
    return Text(bpe, ids[:25], ids[25:], lmcore.UnigramLM(ids[:25], bpe.vocab_size).log_probs)


@pytest.fixture
def small():
    return Settings(vocab_size=400, width=16, batch_size=2, seq_len=8, steps=5, lengths=SHORT)


@pytest.fixture
def contexts():
    """Cut from documents in which every token is its own place, 1000 apart."""
    documents = [np.arange(start, start + 40, dtype=np.int32) for start in (0, 1000, 2000)]
    return Contexts.cut(documents, SHORT)


@pytest.fixture
def indifferent(model):
    """A model whose outputs do not depend on what it reads."""
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.copy_(torch.linspace(-2, 2, 20))
    return model


def likeliest(logits):
    return logits.argmax(dim=-1)


# --- schedules -------------------------------------------------------------------------------------


def test_the_shares_start_at_nothing_and_end_at_one_half():
    steps = 1100
    even, late = (WAYS[f"own tokens, {name}"].schedule(steps) for name in ("linear", "inverse sigmoid"))
    assert even(1) == pytest.approx(0.5 / steps)
    assert even(steps // 2) == pytest.approx(0.25)
    assert [even(steps), late(steps)] == pytest.approx([0.5, 0.5])
    assert late(1) < 0.01
    assert all(late(step) < late(step + 1) for step in range(1, steps))
    assert late(steps // 2) < even(steps // 2)  # it comes late
    assert WAYS["teacher forcing"].schedule(steps)(steps) == 0


def test_the_inverse_sigmoid_is_the_published_one():
    share = scheduled_sampling.inverse_sigmoid(4)
    k = 1 / share(0) - 1  # exp(0) = 1, so the share of the first is 1 / (k + 1)
    assert k * math.log(k) == pytest.approx(4)
    assert share(2) == pytest.approx(1 - k / (k + math.exp(2 / k)))


# --- what is fed -----------------------------------------------------------------------------------


def test_own_tokens_are_what_the_model_says_after_what_was_fed(model):
    inputs = torch.randint(1, 20, (5, 9))
    chosen = torch.rand(5, 9) < 0.5
    chosen[:, 0] = False
    mixed = scheduled_sampling.with_own_tokens(model, inputs, None, chosen, likeliest)
    said = model(mixed)[0].argmax(dim=-1)[:, :-1]  # after each token that was fed
    assert torch.equal(mixed[:, 1:], torch.where(chosen[:, 1:], said, inputs[:, 1:]))
    assert not torch.equal(mixed, inputs)
    assert torch.equal(mixed[:, 0], inputs[:, 0])


def test_own_tokens_depend_on_the_state_that_is_carried(model):
    before, inputs = torch.randint(1, 20, (2, 4, 6))
    state = model(before)[1]
    every = torch.ones(4, 6, dtype=torch.bool)
    mixed = scheduled_sampling.with_own_tokens(model, inputs, state, every, likeliest)
    assert torch.equal(mixed[:, 1:], model(mixed, state)[0].argmax(dim=-1)[:, :-1])
    assert not torch.equal(mixed, scheduled_sampling.with_own_tokens(model, inputs, None, every, likeliest))


def test_nothing_chosen_nothing_changed(model):
    inputs = torch.randint(1, 20, (3, 5))
    mixed = scheduled_sampling.with_own_tokens(model, inputs, None, torch.zeros(3, 5).bool(), likeliest)
    assert torch.equal(mixed, inputs)


# --- training --------------------------------------------------------------------------------------


def test_teacher_forcing_is_what_the_trainer_does(text, small):
    found, _ = scheduled_sampling.train(WAYS["teacher forcing"], 1, text, small)
    model = scheduled_sampling.make_model(text, small, seed=1)
    batches = lmcore.StreamBatches(text.train, small.batch_size, small.seq_len, seed=1)
    config = lmcore.TrainConfig(max_steps=small.steps, learning_rate=3e-3, seed=1, device="cpu")
    lmcore.Trainer(model, batches, text.tokenizer, config, log=lambda line: None).fit()
    for name, weights in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], weights), name


@pytest.mark.parametrize("name", [name for name in WAYS if name != "teacher forcing"])
def test_other_inputs_train_another_model(name, text, small):
    forced, _ = scheduled_sampling.train(WAYS["teacher forcing"], 0, text, small)
    other, _ = scheduled_sampling.train(WAYS[name], 0, text, small)
    again, _ = scheduled_sampling.train(WAYS[name], 0, text, small)
    assert not torch.equal(forced.layers[0].U, other.layers[0].U)
    assert torch.equal(other.layers[0].U, again.layers[0].U)


def test_targets_stay_the_real_ones(text, small, monkeypatch):
    """Only inputs are replaced, and never those of the first column."""
    fed, batches = [], list(lmcore.StreamBatches(text.train, small.batch_size, small.seq_len).epoch(0))

    class Watched(scheduled_sampling.Step):
        def __call__(self, batch, states, learning_rate):
            fed.append(batch)
            return super().__call__(batch, states, learning_rate)

    monkeypatch.setattr(scheduled_sampling, "Step", Watched)
    always = Way(lambda steps: lambda step: 1.0, own=False)
    scheduled_sampling.train(always, 0, text, small)
    assert len(fed) == small.steps
    for batch, real in zip(fed, batches, strict=False):
        assert torch.equal(batch.targets, real.targets)
        assert torch.equal(batch.inputs[:, 0], real.inputs[:, 0])
        assert not torch.equal(batch.inputs, real.inputs)


# --- measures --------------------------------------------------------------------------------------


def test_contexts_come_from_one_document_and_their_control_from_another(contexts):
    assert contexts.text.shape == (6, 11)
    assert contexts.other.shape == (6, 4)
    for pieces in (contexts.text, contexts.other):
        assert (pieces.diff(dim=1) == 1).all()
        assert (pieces[:, 0] % 1000 > 0).all()  # no <bos>
    assert (contexts.text[:, 0] // 1000 != contexts.other[:, 0] // 1000).all()


def test_too_little_text_is_refused():
    with pytest.raises(lmcore.InputError, match="1 documents, the shortest of 40 tokens: 2 of 13 are needed"):
        Contexts.cut([np.arange(40)], SHORT)
    with pytest.raises(lmcore.InputError, match="the shortest of 12 tokens"):
        Contexts.cut([np.arange(40), np.arange(12)], SHORT)


def test_nats_after_a_prefix_are_those_of_the_whole_text(model):
    ids = torch.randint(1, 20, (4, 10))
    whole = torch.nn.functional.cross_entropy(
        model(ids[:, :-1])[0].transpose(1, 2), ids[:, 1:], reduction="none"
    )
    torch.testing.assert_close(free_running.nats_after(model, ids[:, :6], ids[:, 6:]), whole[:, 5:])


def test_greedy_text_is_that_of_lmcore(model):
    prompt = [3, 7, 11]
    wanted = lmcore.generate_ids(model, prompt, lmcore.Sampling(temperature=0.0, max_new_tokens=6), eos_id=-1)
    assert free_running.write(model, torch.tensor([prompt]), 6, greedy=True)[0].tolist() == wanted


def test_a_model_that_does_not_look_has_no_exposure_bias(indifferent, contexts):
    ids = Contexts(contexts.text % 20, contexts.other % 20, SHORT)
    found = free_running.exposure(indifferent, ids)
    for name in ("own", "other", "own minus other"):
        assert found[name] == [pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12)]
    p = indifferent.output.bias.softmax(dim=0)
    expected = -(p * p.log()).sum().item()
    own = free_running.own_text(indifferent, ids)
    assert own["entropy"]["real"] == pytest.approx(expected)
    assert own["entropy"]["drawn"] == pytest.approx(expected)
    assert own["distinct"]["greedy"]["1"] == pytest.approx(1 / 6)  # one token, six times


def test_distinct_shares():
    assert free_running.distinct_share([5, 6, 5, 6, 5], 2) == 2 / 4
    shares = free_running.distinct_shares(torch.tensor([[1, 1, 1, 1, 1], [1, 2, 3, 4, 5]]))
    assert shares == {
        "1": pytest.approx(0.6),
        "2": pytest.approx(0.625),
        "3": pytest.approx(2 / 3),
        "4": 0.75,
    }


# --- the whole -------------------------------------------------------------------------------------


def test_it_runs_through_and_does_nothing_twice(tmp_path, capsys, monkeypatch):
    assert scheduled_sampling.main(["--quick", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in WAYS)
    path = tmp_path / "record.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["finished"]
    assert record["quick"]
    seeds = scheduled_sampling.QUICK.seeds
    assert [(run["seed"], run["way"]) for run in record["runs"]] == [(s, w) for s in seeds for w in WAYS]
    assert len({run["tokens"] for run in record["runs"]}) == 1

    lost = record["runs"].pop(3)
    path.write_text(json.dumps(record), encoding="utf-8")
    asked = []
    train = scheduled_sampling.train
    monkeypatch.setattr(scheduled_sampling, "train", lambda *given: asked.append(given[:2]) or train(*given))
    again = scheduled_sampling.fill(path, quick=True)
    assert asked == [(WAYS[lost["way"]], lost["seed"])]
    (found,) = (run for run in again["runs"] if (run["way"], run["seed"]) == (lost["way"], lost["seed"]))
    assert {**found, "seconds": 0} == {**lost, "seconds": 0}
