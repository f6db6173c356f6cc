"""Output layers: exact where they promise it, probabilities where they approximate."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from lmcore.checkpoint import load_checkpoint, save_checkpoint
from lmcore.errors import InputError
from lmcore.loss import next_token_nats
from lmcore.output import (
    OUTPUTS,
    AdaptiveOutput,
    SampledOutput,
    SoftmaxOutput,
    inclusion,
    sampled_nats,
)
from lmcore.rnn import RecurrentLM, RNNConfig

D, V, N = 16, 40, 9


@pytest.fixture
def log_probs() -> torch.Tensor:
    """Frequencies of V tokens, not in the order of their ids."""
    return torch.randn(V, dtype=torch.float64).mul(2).log_softmax(dim=0)


def layer(kind, log_probs=None, **settings):
    """A started layer in float64 and training mode."""
    output = kind(D, V, **settings).double()
    output.start()
    if log_probs is not None:
        output.start_from_frequencies(log_probs)
    return output


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    hidden = torch.randn(N, D, dtype=torch.float64, requires_grad=True)
    return hidden, torch.randint(V, (N,))


def close(found, expected) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def whole(output, hidden, targets) -> torch.Tensor:
    return F.cross_entropy(output(hidden), targets, reduction="sum")


@pytest.mark.parametrize("kind", OUTPUTS.values())
@pytest.mark.parametrize("counted", [False, True])
def test_scores_are_those_of_the_logits(kind, counted, log_probs):
    output = layer(kind, log_probs if counted else None).eval()
    hidden, targets = rows()
    found, expected = output.nats(hidden, targets), whole(output, hidden, targets)
    close(found, expected)
    close(torch.autograd.grad(found, hidden), torch.autograd.grad(expected, hidden))


@pytest.mark.parametrize("kind", OUTPUTS.values())
def test_logits_keep_the_shape_in_front(kind):
    output = layer(kind)
    hidden = torch.randn(2, 3, D, dtype=torch.float64)
    assert output(hidden).shape == (2, 3, V)
    close(output(hidden)[1, 2], output(hidden[1, 2]))


@pytest.mark.parametrize("kind", OUTPUTS.values())
def test_no_rows_cost_nothing(kind):
    output = layer(kind)
    assert output.nats(torch.zeros(0, D, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)) == 0


@pytest.mark.parametrize("kind", OUTPUTS.values())
def test_a_fresh_layer_stands_at_ln_v_and_then_at_the_frequencies(kind, log_probs):
    nothing = torch.zeros(1, D, dtype=torch.float64)
    output = layer(kind)
    close(output(nothing).log_softmax(dim=1), torch.full((1, V), -math.log(V), dtype=torch.float64))
    output.start_from_frequencies(log_probs)
    started = output(nothing).log_softmax(dim=1)[0]
    if kind is AdaptiveOutput:  # only the head and the clusters' totals are known
        order = log_probs.argsort(descending=True)
        close(started[order[:2]], log_probs[order[:2]])
        for cluster in order.tensor_split([2, 10])[1:]:
            close(started[cluster].logsumexp(0), log_probs[cluster].logsumexp(0))
    else:
        close(started, log_probs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", OUTPUTS.values())
def test_mixed_precision_sums_in_float32(kind, dtype, log_probs):
    output = layer(kind, log_probs).float()
    hidden, targets = torch.randn(N, D, requires_grad=True), torch.randint(V, (N,))
    torch.manual_seed(0)
    expected = output.nats(hidden, targets)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = output.nats(hidden.to(dtype), targets)
        assert output(hidden.to(dtype)).shape == (N, V)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=0)
    assert torch.autograd.grad(found, hidden)[0].isfinite().all()


@pytest.mark.parametrize("kind", OUTPUTS.values())
def test_derivative(kind, log_probs):
    output = layer(kind, log_probs)
    hidden, targets = rows()

    def nats(hidden, *parameters):
        torch.manual_seed(3)  # the same sample at every call
        return output.nats(hidden, targets)

    assert torch.autograd.gradcheck(nats, (hidden, *output.parameters()), fast_mode=True)


def test_adaptive_log_probabilities_sum_to_one_and_belong_to_the_token(log_probs):
    output = layer(AdaptiveOutput, log_probs)
    hidden, targets = rows()
    found = output(hidden)
    close(found.exp().sum(dim=1), torch.ones(N).double())
    close(output.nats(hidden, targets), -found[torch.arange(N), targets].sum())


def test_adaptive_clusters_without_a_target_get_gradients_of_zero(log_probs):
    output = layer(AdaptiveOutput, log_probs)
    hidden, _ = rows()
    output.nats(hidden, log_probs.argmax().expand(N)).backward()
    assert output.layers.head.weight.grad.count_nonzero() > 0
    assert all(parameter.grad.count_nonzero() == 0 for parameter in output.layers.tail.parameters())


def test_adaptive_ranks_follow_the_frequencies(log_probs):
    output = layer(AdaptiveOutput, log_probs)
    assert output.rank[log_probs.argmax()] == 0
    assert output.rank[log_probs.argmin()] == V - 1
    assert sorted(output.rank.tolist()) == list(range(V))


@pytest.mark.parametrize(
    ("vocab_size", "cutoffs"), [(4, [1]), (15, [3]), (16, [1, 4]), (32_011, [2000, 8002])]
)
def test_adaptive_cutoffs(vocab_size, cutoffs):
    output = AdaptiveOutput(16, vocab_size)
    output.start()
    assert output.cutoffs == cutoffs
    assert output(torch.zeros(16)).shape == (vocab_size,)


def test_layers_refuse_sizes_that_they_cannot_have():
    with pytest.raises(InputError, match="emb_dim is 8; an adaptive output needs at least 16"):
        AdaptiveOutput(8, 100)
    with pytest.raises(InputError, match="vocab_size is 3; an adaptive output needs at least 4"):
        AdaptiveOutput(16, 3)
    with pytest.raises(InputError, match="negatives is 0; it must be at least 1"):
        SampledOutput(D, V, negatives=0)


@pytest.mark.parametrize("kind", [SoftmaxOutput, SampledOutput])
def test_linear_layers_hold_what_nn_linear_holds(kind):
    names = [name for name, _ in kind(D, V).named_parameters()]
    assert names == ["weight", "bias"]


def test_weights_of_a_linear_layer_load():
    output = SoftmaxOutput(D, V)
    linear = torch.nn.Linear(D, V)
    output.load_state_dict(linear.state_dict())
    hidden = torch.randn(3, D)
    assert torch.equal(output(hidden), linear(hidden))


@pytest.mark.parametrize("counted", [False, True])
def test_a_sample_of_everything_is_the_full_softmax(counted, log_probs):
    output = layer(SampledOutput, log_probs if counted else None, negatives=V)
    hidden, targets = rows()
    found, expected = output.nats(hidden, targets), whole(output, hidden, targets)
    close(found, expected)
    parameters = list(output.parameters())
    close(torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters))


@pytest.mark.parametrize("counted", [False, True])
def test_number_of_negatives_on_average(counted, log_probs):
    output = SampledOutput(D, V, negatives=12)
    if counted:
        output.start_from_frequencies(log_probs)
    assert output.expected.sum().item() == pytest.approx(12, rel=1e-5)
    draws = torch.rand(20_000, V) < output.expected
    torch.testing.assert_close(draws.float().mean(dim=0), output.expected, atol=0.02, rtol=0)


def test_in_evaluation_the_sampled_layer_is_exact(log_probs):
    output = layer(SampledOutput, log_probs, negatives=5)
    hidden, targets = rows()
    expected = whole(output, hidden, targets)
    assert output.nats(hidden, targets) < expected - 1  # in training mode: fewer rivals
    close(output.eval().nats(hidden, targets), expected)


def test_frequent_tokens_are_drawn_more_often(log_probs):
    output = layer(SampledOutput, log_probs, negatives=5, alpha=0.5)
    (one, other) = log_probs.argsort()[[5, 20]]
    ratio = output.expected[one] / output.expected[other]
    close(ratio, (log_probs[one] - log_probs[other]).mul(0.5).exp())


def test_more_negatives_than_tokens_are_all_tokens(log_probs):
    assert torch.equal(SampledOutput(D, V, negatives=10 * V).expected, torch.ones(V))
    close(layer(SampledOutput, log_probs, negatives=10 * V).expected, torch.ones(V).double())


def test_inclusion_keeps_the_ratios_below_one():
    found = inclusion(torch.tensor([100.0, 50.0, 4.0, 2.0, 1.0, 1.0]).log(), 4)
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0, 1.0, 0.5, 0.25, 0.25]))


@pytest.mark.parametrize("count", [1, 7, V - 1, V])
def test_inclusion_sums_to_the_count(count, log_probs):
    found = inclusion(log_probs, count)
    assert found.sum().item() == pytest.approx(count, abs=1e-9)
    assert 0 < found.min() <= found.max() <= 1


def every_sample(expected: torch.Tensor):
    """All subsets of the tokens, each with its probability."""
    for tosses in itertools.product([False, True], repeat=len(expected)):
        drawn = torch.tensor(tosses)
        yield drawn, torch.where(drawn, expected, 1 - expected).prod()


def expected_loss(bias, log_probs, expected, nothing):
    """Mean sampled loss over every target and every sample, by enumeration."""
    targets = torch.arange(len(bias))
    total = bias.new_zeros(())
    for drawn, chance in every_sample(expected):
        for target in targets:
            nats = sampled_nats(nothing, nothing.new_zeros(len(bias), 1), bias, target[None], drawn, expected)
            total = total + chance * log_probs[target].exp() * nats
    return total


@pytest.mark.parametrize("seed", [0, 1])
def test_the_true_distribution_is_the_best_answer_to_the_sampled_loss(seed):
    """Consistency, for any proposal: at the true probabilities the mean gradient is exactly zero."""
    torch.manual_seed(seed)
    truth = torch.randn(5, dtype=torch.float64).log_softmax(dim=0)
    expected = torch.rand(5, dtype=torch.float64).clamp(0.05, 0.95)
    nothing = torch.zeros(1, 1, dtype=torch.float64)
    bias = truth.clone().requires_grad_()
    loss = expected_loss(bias, truth, expected, nothing)
    close(torch.autograd.grad(loss, bias)[0], torch.zeros(5).double())
    wrong = (truth + torch.tensor([0.3, 0, 0, 0, 0])).requires_grad_()
    assert expected_loss(wrong, truth, expected, nothing) > loss


def test_an_accidental_hit_counts_once():
    bias = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.float64)
    expected = torch.tensor([0.9, 0.5, 0.2, 0.4], dtype=torch.float64)
    nothing, weight = torch.zeros(1, 1).double(), torch.zeros(4, 1).double()

    def nats(drawn):
        return sampled_nats(nothing, weight, bias, torch.tensor([2]), torch.tensor(drawn), expected)

    close(nats([True, False, True, False]), nats([True, False, False, False]))
    odds = bias.exp() / expected
    close(nats([True, False, False, False]), (odds[0] + odds[2]).log() - odds[2].log())


@pytest.mark.parametrize("drawn", [[False, False, False], [False, True, False]])
def test_a_target_without_rivals_costs_nothing_and_gives_finite_gradients(drawn):
    weight, bias = torch.randn(3, 2).double().requires_grad_(), torch.zeros(3).double().requires_grad_()
    hidden, expected = torch.randn(2, 2).double(), torch.full((3,), 0.5).double()
    nats = sampled_nats(hidden, weight, bias, torch.tensor([1, 1]), torch.tensor(drawn), expected)
    close(nats, torch.zeros(()).double())
    for grad in torch.autograd.grad(nats, (weight, bias)):
        assert grad.count_nonzero() == 0


def test_the_sample_changes_from_step_to_step_and_the_seed_repeats_it(log_probs):
    output = layer(SampledOutput, log_probs, negatives=5)
    hidden, targets = rows()
    torch.manual_seed(7)
    first, second = output.nats(hidden, targets), output.nats(hidden, targets)
    torch.manual_seed(7)
    assert torch.equal(output.nats(hidden, targets), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_model_comes_back_from_its_checkpoint(name, bpe, tmp_path):
    model = RecurrentLM(RNNConfig(bpe.vocab_size, emb_dim=16, output=name))
    assert type(model.output) is OUTPUTS[name]
    model.start_from_frequencies(torch.randn(bpe.vocab_size).log_softmax(dim=0))
    save_checkpoint(tmp_path, model, bpe)
    loaded = load_checkpoint(tmp_path).model
    assert loaded.config == model.config
    found, expected = loaded.state_dict(), model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    ids = torch.tensor([bpe.encode_prompt("The boat")])
    assert torch.equal(loaded(ids)[0], model.eval()(ids)[0])


TIED = [{"output": name, "tie_weights": True} for name in ("softmax", "sampled")]


@pytest.mark.parametrize("settings", [*({"output": name} for name in OUTPUTS), *TIED], ids=str)
def test_a_model_scores_a_text_by_its_logits(settings):
    config = RNNConfig(V, emb_dim=D, **settings)
    model = RecurrentLM(config).double().eval()
    ids = torch.randint(1, V, (3, 8))
    nats, count, _ = next_token_nats(model, ids[:, :-1], ids[:, 1:], pad_id=0)
    assert count == 21
    close(nats, F.cross_entropy(model(ids[:, :-1])[0].flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"))


def test_output_layers_that_do_not_exist_or_cannot_be_tied_are_refused():
    with pytest.raises(
        InputError, match="output is 'hierarchical'; it must be one of softmax, adaptive, sampl"
    ):
        RNNConfig(V, output="hierarchical")
    with pytest.raises(InputError, match="tie_weights is set, but the adaptive output has no"):
        RNNConfig(V, output="adaptive", tie_weights=True)


@pytest.mark.parametrize("name", ["adaptive", "sampled"])
def test_train_from_the_command_line(run, text_file, tmp_path, name):
    options = ["--tokenizer=char", "--emb-dim=16", "--batch-size=2", "--seq-len=12", "--max-steps=2"]
    folder = tmp_path / "model"
    status, _, error = run("train", f"--corpus={text_file}", f"--out={folder}", f"--output={name}", *options)
    assert (status, error) == (0, "")
    assert load_checkpoint(folder).model.config.output == name


def test_label_smoothing_acts_in_training_only():
    config = RNNConfig(vocab_size=30, emb_dim=16, label_smoothing=0.2)
    model = RecurrentLM(config).double()
    hidden, targets = torch.randn(7, 16, dtype=torch.float64), torch.randint(0, 30, (7,))
    logits = model.output(hidden)
    for training, smoothing in ((True, 0.2), (False, 0.0)):
        expected = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
        torch.testing.assert_close(model.train(training).nats(hidden, targets), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("output", ["adaptive", "sampled"])
def test_label_smoothing_needs_the_softmax(output):
    with pytest.raises(InputError, match=f"label_smoothing is set, but the {output} output has none"):
        RNNConfig(vocab_size=30, emb_dim=16, output=output, label_smoothing=0.1)
    with pytest.raises(InputError, match=r"label_smoothing is 1\.0; it must be in \[0, 1\)"):
        RNNConfig(vocab_size=30, label_smoothing=1.0)


def test_the_layout_by_columns_lasts_as_long_as_its_block_and_changes_no_number():
    output = layer(SoftmaxOutput)
    weight, numbers, address = output.weight, output.weight.detach().clone(), output.weight.data_ptr()

    def use_and_fail() -> None:
        with output.by_columns():
            assert output.weight is weight
            assert weight.stride() == (1, V)
            assert torch.equal(weight, numbers)
            raise KeyError

    with pytest.raises(KeyError):
        use_and_fail()
    assert (weight.data_ptr(), weight.stride()) == (address, (D, 1))
