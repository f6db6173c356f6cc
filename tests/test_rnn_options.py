"""RecurrentLM with any cell: options of its layers, states of several parts, training and generation."""

import json

import pytest
import torch
from torch import nn

import lmcore
from lmcore.rnn import CELLS, RecurrentLM, RNNConfig
from lmcore.step import tensors_in

V, D, B, T = 20, 8, 3, 7


def make(**changes) -> RecurrentLM:
    """A float64 model whose biases and norms are not at their start."""
    torch.manual_seed(2)
    model = RecurrentLM(RNNConfig(**{"vocab_size": V, "emb_dim": D, **changes})).double()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=0.5)
    return model


def tokens(rows: int = B, steps: int = T) -> torch.Tensor:
    return torch.randint(1, V, (rows, steps), generator=torch.Generator().manual_seed(3))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_loop_and_scan_give_the_same_numbers(cell, residual):
    model = make(cell=cell, residual=residual)
    logits, state = model(tokens())
    model.fast = False
    expected, expected_state = model(tokens())
    close(logits, expected)
    for one, other in zip(tensors_in(state), tensors_in(expected_state), strict=True):
        close(one, other)


def test_residual_is_a_norm_before_and_a_sum_after_each_layer():
    model = make(residual=True, cell="gru")
    x, new_state = model.embedding(tokens()), []
    for layer, norm in zip(model.layers, model.norms[:2], strict=True):
        seen = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        outputs, h = layer.loop(seen * norm.weight + norm.bias, layer.initial_state(B))
        x = x + outputs
        new_state.append(h)
    logits, state = model(tokens())
    close(logits, model.output(model.norms[2](x)))
    for one, other in zip(state, new_state, strict=True):
        close(one, other)


def test_a_plain_model_has_the_parameters_that_older_checkpoints_hold():
    layers = [f"layers.{i}.{name}" for i in range(2) for name in "WUb"]
    assert list(make().state_dict()) == ["embedding.weight", *layers, "output.weight", "output.bias"]
    assert make(residual=True).num_parameters == make().num_parameters + 3 * 2 * D


def test_a_configuration_from_before_these_options_still_loads(tmp_path, char):
    model = RecurrentLM(RNNConfig(vocab_size=char.vocab_size, emb_dim=D, dropout=0.1))
    lmcore.save_checkpoint(tmp_path, model, char)
    config = {"vocab_size": char.vocab_size, "emb_dim": D, "cell": "elman", "dropout": 0.1, "pad_id": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    lmcore.sign_checkpoint(tmp_path)
    loaded = lmcore.load_checkpoint(tmp_path).model
    assert loaded.config == model.config
    assert torch.equal(loaded(tokens())[0], model.eval()(tokens())[0])


def dropped(model: RecurrentLM, monkeypatch) -> list[torch.Tensor]:
    """What each layer and the output layer see, in training, (B, T, D) each; zeros were dropped."""
    seen = []
    for layer in model.layers:
        scan = layer.scan
        monkeypatch.setattr(layer, "scan", lambda x, h, scan=scan: (seen.append(x), scan(x, h))[1])
    hidden, _ = model.train().hidden(tokens(200, 5))
    return [*seen, hidden]


@pytest.mark.parametrize("residual", [False, True])
def test_variational_dropout_is_one_choice_per_row_held_over_time(monkeypatch, residual):
    model = make(dropout=0.4, variational=True, residual=residual)
    for x in dropped(model, monkeypatch):
        gone = x == 0
        assert (gone == gone[:, :1]).all()
        assert 0.35 < gone.double().mean() < 0.45
        assert not (gone[0] == gone[1]).all()
    assert torch.equal(model.eval()(tokens())[0], make(residual=residual)(tokens())[0])


def test_plain_dropout_chooses_anew_at_each_time_step(monkeypatch):
    for x in dropped(make(dropout=0.4), monkeypatch):
        gone = x == 0
        assert 0.35 < gone.double().mean() < 0.45
        assert not (gone == gone[:, :1]).all()


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_keeps_the_mean(variational):
    dropout = make(dropout=0.4, variational=variational).train().dropout
    x = torch.rand(4000, 3, 8, dtype=torch.float64)
    assert dropout(x).mean().item() == pytest.approx(x.mean().item(), rel=0.03)
    values = dropout(torch.ones(50, 3, 8)).unique()
    torch.testing.assert_close(values, torch.tensor([0, 1 / 0.6]))


def trainer(char, documents, cell: str, **options) -> lmcore.Trainer:
    torch.manual_seed(0)
    encoded = char.encode_documents(documents)
    return lmcore.Trainer(
        RecurrentLM(RNNConfig(vocab_size=char.vocab_size, emb_dim=16, cell=cell, **options)),
        lmcore.StreamBatches(encoded[:25], batch_size=4, seq_len=8),
        char,
        lmcore.TrainConfig(max_steps=20, device="cpu", learning_rate=0.02),
        lmcore.DocumentBatches(encoded[25:], char.pad_id),
        log=[].append,
    )


@pytest.mark.parametrize("cell", ["gru", "lstm", "slstm"])
def test_training_carries_a_state_of_any_form(char, documents, monkeypatch, cell):
    made = trainer(char, documents, cell, residual=True, variational=True, dropout=0.1)
    hidden, given = made.model.hidden, []
    monkeypatch.setattr(
        made.model,
        "hidden",
        lambda x, state=None: (given.append((made.model.training, state)), hidden(x, state))[1],
    )
    run = made.fit()
    carried = [state for training, state in given if training]
    assert carried[0] is None
    parts = made.model.layers[0].num_states
    for state in carried[1:]:
        assert len(tensors_in(state)) == 2 * parts
        assert not any(tensor.requires_grad for tensor in tensors_in(state))
    assert run.steps[-1]["loss"] < run.steps[0]["loss"] - 0.3
    assert run.validation[-1]["nats_per_token"] < run.validation[0]["nats_per_token"] - 0.3


@pytest.mark.parametrize("cell", ["gru", "lstm", "slstm"])
def test_generation_carries_a_state_of_any_form(cell):
    model, greedy = make(cell=cell).eval(), lmcore.Sampling(temperature=0.0, max_new_tokens=12)
    ids = [3, 5]
    for _ in range(12):
        ids.append(int(model(torch.tensor([ids]))[0][0, -1].argmax()))
    assert lmcore.generate_ids(model, ids[:2], greedy, eos_id=-1) == ids[2:]
