"""TransformerLM: the same numbers as a re-computation place by place, a window, a bounded cache."""

import math

import pytest
import torch
from torch import nn

from lmcore.errors import InputError
from lmcore.gpt import GPTConfig, TransformerLM, View, look_back, rotate

V, D, B = 20, 8, 3


def make(**changes) -> TransformerLM:
    """A float64 model, context 5, whose weights are large enough that places and biases matter."""
    torch.manual_seed(2)
    config = {"vocab_size": V, "emb_dim": D, "num_layers": 2, "num_heads": 2, "context": 5, **changes}
    model = TransformerLM(GPTConfig(**config)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def tokens(length: int = 17) -> torch.Tensor:
    return torch.randint(1, V, (B, length), generator=torch.Generator().manual_seed(3))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def norm_by_hand(x: torch.Tensor, norm: nn.LayerNorm) -> torch.Tensor:
    centred = x - x.mean()
    return centred / (centred.square().mean() + norm.eps).sqrt() * norm.weight + norm.bias


def attend_by_hand(xs: list[torch.Tensor], t: int, attention) -> torch.Tensor:
    """What the place t sees, one head and one earlier place at a time; turns are complex numbers here."""
    heads, size = attention.num_heads, D // attention.num_heads
    frequencies = torch.tensor([10_000 ** (-2 * i / size) for i in range(size // 2)], dtype=torch.float64)

    def part(place: int, number: int, head: int) -> torch.Tensor:  # 0 query, 1 key, 2 value
        whole = attention.qkv.weight @ xs[place] + attention.qkv.bias
        return whole[number * D :][head * size :][:size]

    def turned(place: int, number: int, head: int) -> torch.Tensor:
        vector = part(place, number, head)
        pairs = torch.complex(vector[: size // 2], vector[size // 2 :])
        return pairs * torch.exp(1j * place * frequencies)

    seen = []
    for head in range(heads):
        places = [s for s in range(len(xs)) if s <= t and t - s < attention.context]
        scores = [(turned(t, 0, head) * turned(s, 1, head).conj()).real.sum() for s in places]
        weights = (torch.stack(scores) / math.sqrt(size)).softmax(dim=0)
        seen.append(sum(w * part(s, 2, head) for w, s in zip(weights, places, strict=True)))
    return attention.out.weight @ torch.cat(seen) + attention.out.bias


def logits_by_hand(model: TransformerLM, row: torch.Tensor) -> torch.Tensor:
    """(T, V) without a batch, a cache, a mask or a matrix of scores."""
    xs = list(model.embedding.weight[row])
    for block in model.layers:
        normed = [norm_by_hand(x, block.norm1) for x in xs]
        xs = [x + attend_by_hand(normed, t, block.attention) for t, x in enumerate(xs)]
        for t, x in enumerate(xs):
            wide = block.mlp[0].weight @ norm_by_hand(x, block.norm2) + block.mlp[0].bias
            wide = wide * (1 + torch.erf(wide / math.sqrt(2))) / 2
            xs[t] = x + block.mlp[2].weight @ wide + block.mlp[2].bias
    hidden = torch.stack([norm_by_hand(x, model.norm) for x in xs])
    return hidden @ model.output.weight.t() + model.output.bias


@pytest.mark.parametrize("length", [1, 4, 5, 6, 17])
@pytest.mark.parametrize("heads", [1, 2])
def test_equals_a_re_computation_place_by_place_with_gradients(length, heads):
    model, row = make(num_heads=heads), tokens(length)[:1]
    found, expected = model(row)[0][0], logits_by_hand(model, row[0])
    close(found, expected)
    weighting = torch.randn_like(found)
    parameters = list(model.parameters())
    for one, other in zip(
        torch.autograd.grad((found * weighting).sum(), parameters),
        torch.autograd.grad((expected * weighting).sum(), parameters),
        strict=True,
    ):
        close(one, other)


def test_without_rotation_a_block_is_torch_s_encoder_layer():
    T, model = 7, make(context=4)
    twin = nn.TransformerEncoderLayer(
        D, 2, 4 * D, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    block = model.layers[0]
    ours = [*block.attention.parameters(), *block.mlp.parameters(), *block.norm1.parameters()]
    with torch.no_grad():
        for theirs, own in zip(twin.parameters(), [*ours, *block.norm2.parameters()], strict=True):
            theirs.copy_(own)
    x = torch.randn(B, T, D, dtype=torch.float64)
    distance = torch.arange(T)[:, None] - torch.arange(T)
    mask = (distance >= 0) & (distance < 4)
    still = torch.ones(T, 2, dtype=torch.float64), torch.zeros(T, 2, dtype=torch.float64)
    found, _ = block(x, model.initial_state(B)[0], View(*still, mask, is_causal=False))
    close(found, twin(x, src_mask=~mask))


def test_a_rotation_keeps_lengths_and_its_products_know_only_the_distance():
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    cos, sin = look_back(0, 40, 40, 8, q)[:2]

    def product(at: int, other: int) -> torch.Tensor:
        here, there = slice(at, at + 1), slice(other, other + 1)
        return (rotate(q, cos[here], sin[here]) * rotate(k, cos[there], sin[there])).sum()

    close(rotate(q, cos[9:10], sin[9:10]).norm(), q.norm())
    close(product(12, 5), product(37, 30))
    close(product(3, 3), (q * k).sum())
    assert (product(12, 5) - product(12, 6)).abs() > 1e-3


@pytest.mark.parametrize("num_layers", [1, 2])
def test_it_reaches_back_exactly_as_far_as_its_window(num_layers):
    model, t = make(num_layers=num_layers), 16
    reach = num_layers * (5 - 1)
    for place in range(t + 1):
        changed = tokens()
        changed[:, place] = (changed[:, place] + 5) % (V - 1) + 1
        moved = (model(tokens())[0][:, t] - model(changed)[0][:, t]).abs().amax(dim=-1)
        assert (moved > 1e-9).all() if t - place <= reach else (moved == 0).all()


def test_order_matters_within_one_layer():
    model, swapped = make(num_layers=1), tokens(4)
    swapped[:, [0, 1]] = swapped[:, [1, 0]]
    moved = (model(tokens(4))[0][:, -1] - model(swapped)[0][:, -1]).abs().amax(dim=-1)
    assert moved.min() > 1e-6


@pytest.mark.parametrize("context", [1, 2, 5])
def test_the_cache_is_bounded_by_the_context(context):
    model, state = make(context=context), None
    for read in range(1, 12):
        _, state = model(tokens(11)[:, read - 1 : read], state)
        expected = (B, 2, min(read, context - 1), D // 2)
        assert [part.shape for cache in state for part in cache] == [expected] * 4
    _, after_a_long_text = model(tokens(300))
    assert {part.shape[2] for cache in after_a_long_text for part in cache} == {context - 1}


def test_a_long_text_is_never_compared_with_all_of_itself(monkeypatch):
    seen = []

    def watched(S: int, T: int, *more) -> View:
        seen.append((S, T))
        return look_back(S, T, *more)

    monkeypatch.setattr("lmcore.gpt.look_back", watched)
    make()(tokens(17))
    assert seen == [(0, 5), (4, 5), (4, 5), (4, 2)]


def test_the_caller_s_state_is_left_alone_and_no_state_is_the_empty_one():
    model = make()
    assert torch.equal(model(tokens())[0], model(tokens(), model.initial_state(B))[0])
    _, state = model(tokens(9))
    copies = [part.clone() for cache in state for part in cache]
    model(tokens(), state)
    assert all(torch.equal(a, b) for a, b in zip(copies, (p for c in state for p in c), strict=True))


def test_logits_are_the_output_layer_over_hidden():
    model = make()
    close(model(tokens())[0], model.output(model.hidden(tokens())[0]))


def test_a_batch_without_rows_passes_through():
    logits, state = make()(tokens(4)[:0])
    assert logits.shape == (0, 4, V)
    assert make()(tokens(4)[:0], state)[0].shape == (0, 4, V)


def test_start():
    config = GPTConfig(vocab_size=300, emb_dim=64, num_layers=8, num_heads=4, pad_id=7)
    model = TransformerLM(config)
    for block in model.layers:
        for layer, std in (
            (block.attention.qkv, 0.02),
            (block.mlp[0], 0.02),
            (block.attention.out, 0.005),
            (block.mlp[2], 0.005),
        ):
            assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
            assert layer.bias.count_nonzero() == 0
    assert model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.embedding.weight[7].count_nonzero() == 0
    changed = make()  # its norms hold random numbers
    changed.reset_parameters()
    norms = [m for m in changed.modules() if isinstance(m, nn.LayerNorm)]
    assert len(norms) == 2 * 2 + 1
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_the_embedding_can_start_wider():
    model = TransformerLM(GPTConfig(vocab_size=2000, emb_dim=32, emb_std=0.4))
    assert model.embedding.weight.std().item() == pytest.approx(0.4, rel=0.02)


@pytest.mark.parametrize("tie_weights", [False, True])
def test_number_of_parameters(tie_weights):
    model = make(tie_weights=tie_weights, num_layers=3)
    block = 12 * D**2 + 13 * D  # 4 + 8 matrices of D x D; 4 + 5 biases, 2 norms
    assert model.num_parameters == V * D * (1 if tie_weights else 2) + V + 3 * block + 2 * D


def test_dropout_acts_on_the_embedding_and_on_both_branches_in_training_only():
    dropping, seen = make(dropout=0.5, emb_dim=16), []
    for module in (dropping.dropout, *(block.dropout for block in dropping.layers)):
        module.register_forward_hook(lambda module, _, output: seen.append(output))
    text = tokens().repeat(40, 4)
    dropping.train()(text)
    assert len(seen) % (1 + 2 * len(dropping.layers)) == 0
    assert 0.45 < (torch.cat(seen, dim=1) == 0).double().mean() < 0.55
    plain = make(emb_dim=16)
    assert torch.equal(dropping.eval()(text)[0], plain(text)[0])


def test_half_precision_gives_nearly_the_same_in_any_chunks():
    model = make().float()
    exact = model(tokens())[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        whole, state, pieces = model(tokens())[0], None, []
        for chunk in tokens().split([3, 9, 5], dim=1):
            logits, state = model(chunk, state)
            pieces.append(logits)
    torch.testing.assert_close(whole.float(), exact, atol=0.2, rtol=0.1)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=0.2, rtol=0.1)


def test_on_cuda_in_chunks_it_gives_the_numbers_of_the_cpu(cuda):
    model, state, pieces = make(), None, []
    expected = model(tokens())[0]
    model.to(cuda)
    for chunk in tokens().to(cuda).split([4, 1, 12], dim=1):
        logits, state = model(chunk, state)
        pieces.append(logits.cpu())
    close(torch.cat(pieces, dim=1), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 0}, "vocab_size is 0; it must be at least 1"),
        ({"num_heads": 0}, "num_heads is 0; it must be at least 1"),
        ({"context": 0}, "context is 0; it must be at least 1"),
        ({"num_heads": 3}, "emb_dim is 128; with num_heads 3 it must be a multiple of 6"),
        ({"emb_dim": 4, "num_heads": 4}, "emb_dim is 4; with num_heads 4 it must be a multiple of 8"),
        ({"dropout": 1.0}, r"dropout is 1.0; it must be in \[0, 1\)"),
        ({"label_smoothing": math.nan}, "label_smoothing is nan"),
        ({"pad_id": V}, r"pad_id is 20; it must be in \[0, 20\)"),
        ({"emb_std": 0.0}, "emb_std is 0.0; it must be above 0"),
        ({"output": "hierarchical"}, "output is 'hierarchical'; it must be one of softmax"),
        ({"output": "sampled", "label_smoothing": 0.1}, "the sampled output has none"),
        ({"output": "adaptive", "tie_weights": True}, "the adaptive output has no .* matrix to tie"),
    ],
)
def test_configuration_out_of_range_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        GPTConfig(**{"vocab_size": V, **changes})
