"""What must hold for every model, whatever it is made of: neural ones first, then all of them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from lmcore.checkpoint import load_checkpoint, save_checkpoint
from lmcore.generate import generate_batch_ids, generate_ids
from lmcore.gpt import GPTConfig, TransformerLM
from lmcore.loss import next_token_nats
from lmcore.mixture import InterpolatedLM
from lmcore.model import LanguageModel
from lmcore.ngram import UnigramLM
from lmcore.rnn import CELLS, RecurrentLM, RNNConfig
from lmcore.sampling import Sampling, draw, next_token_probs
from lmcore.smoothing import kneser_ney, laplace, maximum_likelihood
from lmcore.step import detach

V, B, T = 20, 3, 11
VARIANTS = {"plain": {}, "tied": {"tie_weights": True}, "residual": {"residual": True}}
RECURRENT = {
    f"{cell}-{variant}": {"cell": cell, **options} for cell in CELLS for variant, options in VARIANTS.items()
}
TRANSFORMER = {
    f"transformer-{variant}": {"num_heads": 2, "context": 5, **VARIANTS[variant]}
    for variant in ("plain", "tied")
}
NEURAL = RECURRENT | TRANSFORMER
COUNTING = {
    "unigram": UnigramLM,
    "maximum likelihood": lambda documents, V: maximum_likelihood(documents, V, order=3),
    "laplace": lambda documents, V: laplace(documents, V, order=2),
    "kneser-ney": lambda documents, V: kneser_ney(documents, V, order=4),
}
each_neural = pytest.mark.parametrize("name", NEURAL)
each_model = pytest.mark.parametrize("name", [*NEURAL, *COUNTING, "mixture"])


def fresh(name: str, **changes) -> LanguageModel:
    """As a training run would start with it."""
    torch.manual_seed(1)
    options = {"vocab_size": V, "emb_dim": 8, "num_layers": 2, **NEURAL[name], **changes}
    return TransformerLM(GPTConfig(**options)) if name in TRANSFORMER else RecurrentLM(RNNConfig(**options))


def lively(name: str, **changes) -> LanguageModel:
    """In float64, every parameter far enough from 0 that all of what was read matters."""
    model = fresh(name, **changes).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def any_model(name: str) -> nn.Module:
    if name in NEURAL:
        return lively(name)
    documents = [row.numpy() for row in tokens(40, 12)]
    if name == "mixture":
        return InterpolatedLM([lively("gru-plain"), kneser_ney(documents, V, order=3)], [0.3, 0.7])
    return COUNTING[name](documents, V)


def tokens(rows: int = B, length: int = T, low: int = 1) -> Tensor:
    return torch.randint(low, V, (rows, length), generator=torch.Generator().manual_seed(3))


def tensors(state: Any) -> Iterator[Tensor]:
    """Whatever a state is made of."""
    if isinstance(state, Tensor):
        yield state
    elif state is not None:
        for part in state:
            yield from tensors(part)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@each_model
@settings(max_examples=12)
@given(cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_reading_in_chunks_equals_reading_at_once(name, cuts):
    model, state, pieces = any_model(name), None, []
    text = tokens(length=sum(cuts))
    for chunk in text.split(cuts, dim=1):
        logits, state = model(chunk, state)
        pieces.append(logits)
    whole, last = model(text)
    close(torch.cat(pieces, dim=1), whole)
    for one, other in zip(tensors(state), tensors(last), strict=True):
        close(one, other)


@each_model
def test_no_logit_depends_on_a_later_token(name):
    model = any_model(name)
    before, _ = model(tokens())
    for t in range(1, T):
        changed = tokens()
        changed[:, t:] = (changed[:, t:] + 5) % V
        after, _ = model(changed)
        assert torch.equal(before[:, :t], after[:, :t])
        if name in NEURAL:
            assert (before[:, t:] != after[:, t:]).any(dim=-1).all()


@each_model
def test_rows_do_not_see_each_other(name):
    model = any_model(name)
    together, _ = model(tokens())
    for row, text in enumerate(tokens().split(1)):
        close(model(text)[0], together[row : row + 1])


@each_model
def test_the_state_is_handed_back_not_kept(name):
    model = any_model(name)
    first, state = model(tokens())
    copies = [part.clone() for part in tensors(state)]
    after, _ = model(tokens(), state)
    assert torch.equal(model(tokens())[0], first)
    assert torch.equal(model(tokens(), state)[0], after)
    assert all(torch.equal(part, copy) for part, copy in zip(tensors(state), copies, strict=True))


@each_model
def test_the_loss_is_that_of_the_logits(name):
    model, text, state = any_model(name), tokens(), None
    if name != "unigram":
        _, state = model(tokens(length=4), state)
    inputs, targets = text[:, :-1], text[:, 1:]
    log_probs = model(inputs, state)[0].log_softmax(dim=-1)
    expected = -log_probs.gather(2, targets[..., None]).sum()
    if name in NEURAL:
        hidden, _ = model.hidden(inputs, state)
        close(model.nats(hidden.flatten(0, 1), targets.flatten()), expected)
    else:
        torch.testing.assert_close(model.target_nats(inputs, targets, state)[0].sum(), expected)


def write_by_rerunning(model: nn.Module, prompt: list[int], sampling: Sampling, eos_id: int) -> list[int]:
    """Every token by reading all of the text before it anew, from an empty state."""
    draws, ids = torch.Generator().manual_seed(sampling.seed), list(prompt)
    while len(ids) < len(prompt) + sampling.max_new_tokens and eos_id not in ids[len(prompt) :]:
        logits = model(torch.tensor([ids]))[0][0, -1].detach().float()
        seen = torch.zeros(V, dtype=torch.bool)
        seen[ids] = True
        ids.append(draw(next_token_probs(logits, sampling, seen), draws))
    return ids[len(prompt) :]


WAYS_TO_WRITE = {
    "greedy": Sampling(0.0, max_new_tokens=12),
    "drawn": Sampling(max_new_tokens=12, seed=4),
    "filtered": Sampling(
        0.9, 15, 0.95, max_new_tokens=12, seed=5, min_p=1e-3, typical_p=0.95, repetition_penalty=1.2
    ),
}
each_way = pytest.mark.parametrize("sampling", WAYS_TO_WRITE.values(), ids=WAYS_TO_WRITE)


@each_model
@each_way
def test_carrying_the_state_while_writing_equals_reading_everything_again(name, sampling):
    model = any_model(name)
    expected = write_by_rerunning(model, [2, 7, 5], sampling, eos_id=-1)
    assert generate_ids(model, [2, 7, 5], sampling, eos_id=-1) == expected
    assert len(expected) == 12


@each_model
@each_way
def test_prompts_of_unequal_length_written_together_are_as_if_written_alone(name, sampling):
    """One of them is longer than a Transformer's context, and the rows end at different times."""
    model, eos_id = any_model(name), 9
    prompts = [[2, 7, 5], tokens(1, 13)[0].tolist(), [2], [11, 4], [2, 7, 5]]
    written = generate_batch_ids(model, prompts, sampling, eos_id)
    for row, prompt in enumerate(prompts):
        alone = replace(sampling, seed=sampling.seed + row)
        assert written[row] == write_by_rerunning(model, prompt, alone, eos_id)


@each_neural
def test_untrained_it_stands_at_ln_v(name):
    model = fresh(name, vocab_size=500, emb_dim=32)
    ids = torch.randint(1, 500, (8, 60))
    nats, count, _ = next_token_nats(model, ids[:, :-1], ids[:, 1:], pad_id=0)
    assert nats.item() / count == pytest.approx(math.log(500), abs=0.1)


@each_neural
def test_one_batch_is_learnt_by_heart(name):
    model = fresh(name, emb_dim=32)
    optimizer, text = torch.optim.Adam(model.parameters(), lr=0.02), tokens(rows=4, length=9)
    text[:, 0] = torch.arange(1, 5)  # what comes first tells the rows apart
    loss = math.inf
    for _ in range(150):
        nats, count, _ = next_token_nats(model, text[:, :-1], text[:, 1:], pad_id=0)
        loss = nats.item() / count
        if loss < 0.05:
            break
        optimizer.zero_grad()
        (nats / count).backward()
        optimizer.step()
    assert loss < 0.05


@each_neural
def test_derivative_by_every_parameter_also_through_the_state(name):
    size = {"vocab_size": 4, "emb_dim": 4, "num_layers": 1}
    model = lively(name, **size, **({"context": 3} if name in TRANSFORMER else {}))
    names, parameters = zip(*model.named_parameters(), strict=True)
    first, second = torch.tensor([[1, 3]]), torch.tensor([[2, 1]])

    def logits(*values: Tensor) -> Tensor:
        held = dict(zip(names, values, strict=True))
        _, state = functional_call(model, held, (first,))
        return functional_call(model, held, (second, state))[0]

    assert torch.autograd.gradcheck(logits, parameters, fast_mode=True)


@each_neural
def test_a_detached_state_has_the_numbers_but_not_the_past(name):
    model = lively(name)
    head, tail = tokens().split([6, 5], dim=1)

    def gradients(state: Any) -> list[Tensor]:
        loss = model(tail, state)[0].sigmoid().sum()
        return [g.clone() for g in torch.autograd.grad(loss, list(model.parameters()))]

    _, state = model(head)
    with torch.no_grad():
        _, apart = model(head)
    cut = detach(state)
    assert not any(part.requires_grad for part in tensors(cut))
    for one, other in zip(gradients(cut), gradients(apart), strict=True):
        close(one, other)
    pairs = zip(gradients(cut), gradients(state), strict=True)
    assert max((one - other).abs().max() for one, other in pairs) > 1e-3


@each_neural
@pytest.mark.parametrize("held", [False, True])
def test_dropout_acts_in_training_only(name, held):
    changes = {} if name in TRANSFORMER else {"variational": held}
    dropping, plain = lively(name, dropout=0.4, **changes), lively(name)
    assert torch.equal(dropping(tokens())[0], plain(tokens())[0])
    dropping.train()
    assert not torch.equal(dropping(tokens())[0], dropping(tokens())[0])


@each_neural
def test_saved_and_loaded_it_is_the_same_model(name, char, tmp_path):
    model = lively(name, vocab_size=char.vocab_size, dropout=0.1).float()
    save_checkpoint(tmp_path, model, char)
    loaded, _ = load_checkpoint(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.config == model.config
    assert torch.equal(loaded(tokens())[0], model(tokens())[0])
    assert loaded.num_parameters == model.num_parameters


BLOCKS = {  # per cell: matrices D x D, vectors of D
    "elman": (2, 1),
    "gru": (6, 4),
    "lstm": (8, 4),
    "slstm": (8, 4),
    "mingru": (2, 2),
    "minlstm": (3, 3),
}


@each_neural
def test_number_of_parameters(name):
    D, L = 8, 3
    options = NEURAL[name]
    outside = V * D * (1 if options.get("tie_weights") else 2) + V
    if name in TRANSFORMER:
        layers = L * (12 * D**2 + 13 * D) + 2 * D
    else:
        matrices, vectors = BLOCKS[options["cell"]]
        norms = (L + 1) * 2 * D if options.get("residual") else 0
        layers = L * (matrices * D**2 + vectors * D) + norms
    assert fresh(name, num_layers=L).num_parameters == outside + layers


@each_neural
def test_it_can_start_from_frequencies(name):
    model = fresh(name, vocab_size=200, emb_dim=16)
    log_probs = torch.randn(200).log_softmax(dim=0)
    model.start_from_frequencies(log_probs)
    found = model(tokens())[0].log_softmax(dim=-1)
    assert F.kl_div(found, log_probs.expand_as(found), log_target=True, reduction="none").sum(-1).max() < 0.2
