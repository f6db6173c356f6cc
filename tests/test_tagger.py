"""BidirectionalTagger against PyTorch's bidirectional layers, and against what padding must not do."""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lmcore
from lmcore.errors import InputError
from lmcore.rnn import CELLS
from lmcore.tagger import BidirectionalTagger, TaggerConfig, real_positions, reverse_rows

V, K, D, H = 11, 4, 3, 5
LENGTHS = torch.tensor([4, 7, 1, 6])
each_cell = pytest.mark.parametrize("cell", list(CELLS))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def make(cell: str = "elman") -> tuple[BidirectionalTagger, torch.Tensor]:
    tagger = BidirectionalTagger(TaggerConfig(V, K, D, H, cell)).double()
    with torch.no_grad():
        for direction in (tagger.left_to_right, tagger.right_to_left):
            torch.nn.init.normal_(direction.b)
    tokens = torch.randint(1, V, (len(LENGTHS), 7)) * real_positions(torch.zeros(4, 7).long(), LENGTHS)
    return tagger, tokens


def torch_layer(tagger: BidirectionalTagger, kind: type) -> torch.nn.Module:
    """PyTorch's layer with the same numbers in both directions; its second biases are zero."""
    layer = kind(D, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for cell, suffix in ((tagger.left_to_right, "l0"), (tagger.right_to_left, "l0_reverse")):
            getattr(layer, f"weight_ih_{suffix}").copy_(cell.W.t())
            getattr(layer, f"weight_hh_{suffix}").copy_(cell.U.t())
            getattr(layer, f"bias_ih_{suffix}").copy_(cell.b)
            getattr(layer, f"bias_hh_{suffix}").zero_()
    return layer


@pytest.mark.parametrize(("cell", "kind"), [("elman", torch.nn.RNN), ("lstm", torch.nn.LSTM)])
def test_hidden_equals_torch_on_packed_sequences(cell, kind):
    tagger, tokens = make(cell)
    layer = torch_layer(tagger, kind)
    packed = pack_padded_sequence(tagger.embedding(tokens), LENGTHS, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(layer(packed)[0], batch_first=True)  # (B, T, 2 H)
    real = real_positions(tokens, LENGTHS)
    close(tagger.hidden(tokens, LENGTHS)[real], expected[real])


@each_cell
def test_each_row_is_what_it_is_alone(cell):
    tagger, tokens = make(cell)
    together = tagger(tokens, LENGTHS)
    assert together.shape == (4, 7, K)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = tagger(tokens[row : row + 1, :length], LENGTHS[row : row + 1])
        close(together[row, :length], alone[0])


@each_cell
def test_what_stands_in_the_padding_does_not_matter(cell):
    tagger, tokens = make(cell)
    real = real_positions(tokens, LENGTHS)
    other = torch.where(real, tokens, torch.randint(1, V, tokens.shape))
    assert not torch.equal(other, tokens)
    close(tagger(other, LENGTHS)[real], tagger(tokens, LENGTHS)[real])


@each_cell
def test_it_sees_the_future_and_a_language_model_does_not(cell):
    """Why this network cannot generate: its output at t depends on the tokens that it should predict."""
    tagger, tokens = make(cell)
    full = torch.full_like(LENGTHS, 7)
    other = tokens.clone()
    other[:, 5] = other[:, 5] % (V - 1) + 1  # another token at t = 5
    moved = (tagger(tokens, full) != tagger(other, full)).any(dim=-1)
    assert moved[:, :5].all()
    model = lmcore.RecurrentLM(lmcore.RNNConfig(V, D, num_layers=1, cell=cell)).double()
    before, after = model(tokens)[0], model(other)[0]
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] != after[:, 5:]).any()


def test_nats_are_summed_over_real_positions_only():
    tagger, tokens = make()
    tags = torch.randint(K, tokens.shape)
    total = 0.0
    for row, length in enumerate(LENGTHS.tolist()):
        log_probs = F.log_softmax(tagger(tokens[row : row + 1, :length], LENGTHS[row : row + 1]), dim=-1)
        total -= sum(log_probs[0, t, tags[row, t]].item() for t in range(length))
    nats = tagger.nats(tokens, LENGTHS, tags)
    assert nats.item() == pytest.approx(total, abs=1e-10)
    wrong = torch.where(real_positions(tokens, LENGTHS), tags, -1)  # no tag at all behind a row's end
    assert tagger.nats(tokens, LENGTHS, wrong).item() == nats.item()


@each_cell
def test_every_parameter_learns(cell):
    tagger, tokens = make(cell)
    tagger.nats(tokens, LENGTHS, torch.randint(K, tokens.shape)).backward()
    for name, parameter in tagger.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    assert tagger.embedding.weight.grad[0].count_nonzero() == 0  # padding


def test_it_learns_a_tag_that_the_next_token_decides():
    """Tag = is the next token smaller? Left to right alone no network can know."""
    torch.manual_seed(0)
    tagger = BidirectionalTagger(TaggerConfig(6, 2, 8, 8, "elman"))
    tokens, lengths = torch.randint(1, 6, (32, 6)), torch.full((32,), 6)
    tags = torch.cat([tokens[:, 1:] < tokens[:, :-1], torch.zeros(32, 1, dtype=torch.bool)], dim=1).long()
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=0.03)
    for _ in range(100):
        optimizer.zero_grad()
        (tagger.nats(tokens, lengths, tags) / tokens.numel()).backward()
        optimizer.step()
    assert (tagger(tokens, lengths).argmax(dim=-1) == tags).float().mean() > 0.99


def test_reversing_rows():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])[..., None]
    lengths = torch.tensor([2, 3, 0])
    expected = torch.tensor([[2.0, 1.0, 3.0], [6.0, 5.0, 4.0], [7.0, 8.0, 9.0]])[..., None]
    assert torch.equal(reverse_rows(x, lengths), expected)
    assert torch.equal(reverse_rows(expected, lengths), x)


@pytest.mark.parametrize(("lengths", "named"), [([4, 8, 1, 6], "8"), ([4, 7, -1, 6], "-1")])
def test_a_length_outside_the_row_is_refused(lengths, named):
    tagger, tokens = make()
    with pytest.raises(InputError, match=rf"a row has length {named}; it must be in \[0, 7\]"):
        tagger(tokens, torch.tensor(lengths))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_tags": 0}, "num_tags is 0"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"pad_id": 11}, r"pad_id is 11; it must be in \[0, 11\)"),
        ({"cell": "bogus"}, "cell is 'bogus'; it must be one of elman"),
    ],
)
def test_a_bad_configuration_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        TaggerConfig(**{"vocab_size": 11, "num_tags": 4, **change})
