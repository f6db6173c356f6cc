"""Several texts in one pass: nothing is read twice, nobody waits, and each row has draws of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lmcore.errors import InputError
from lmcore.generate import generate_batch_ids, generate_ids
from lmcore.gpt import GPTConfig, TransformerLM
from lmcore.output import AdaptiveOutput
from lmcore.rnn import RecurrentLM, RNNConfig
from lmcore.sampling import Sampling
from lmcore.smoothing import maximum_likelihood
from lmcore.writer import Points, Writer, next_logits, select_rows, set_up_for_writing

NO_END = -1


class Counter(nn.Module):
    """Greedily, n is followed by n + 1; keeps the tokens it is fed, and states how many they were."""

    def __init__(self, vocab_size: int = 40):
        super().__init__()
        self.fed: list[list[list[int]]] = []
        self.vocab_size = vocab_size

    def forward(self, tokens, state=None):
        assert not torch.is_grad_enabled()
        self.fed.append(tokens.tolist())
        logits = torch.nn.functional.one_hot((tokens + 1) % self.vocab_size, self.vocab_size).float()
        (read,) = (torch.zeros(len(tokens)),) if state is None else state
        return logits, (read + tokens.shape[1],)


def test_every_token_is_fed_once_and_rows_that_ended_are_not():
    counter, greedy = Counter(), Sampling(temperature=0.0, max_new_tokens=3)
    written = generate_batch_ids(counter, [[1, 2, 3], [11], [21, 22]], greedy, eos_id=23)
    assert written == [[4, 5, 6], [12, 13, 14], [23]]
    assert counter.fed == [
        [[1], [11], [21]],  # as much as all have
        [[2], [12], [22]],  # the second writes while the others read; the third ends with its first token
        [[3], [13]],
        [[4]],  # the second has written three
        [[5]],
    ]


def test_what_is_left_of_a_long_prompt_is_read_at_once_when_nobody_writes_any_more():
    counter, greedy = Counter(), Sampling(temperature=0.0, max_new_tokens=2)
    generate_batch_ids(counter, [[1], [11, 12, 13, 14, 15, 16]], greedy, NO_END)
    assert counter.fed == [[[1], [11]], [[2], [12]], [[13, 14, 15, 16]], [[17]]]


def test_the_last_token_is_not_fed():
    counter = Counter()
    generate_ids(counter, [1, 2], Sampling(temperature=0.0, max_new_tokens=2), NO_END)
    assert counter.fed == [[[1, 2]], [[3]]]


def test_the_state_follows_its_row():
    counter = Counter()
    writer = Writer(counter, [[1], [2], [3]], Sampling(temperature=0.0, max_new_tokens=9), eos_id=NO_END)
    writer.step()
    writer.end([1])
    assert writer.rows == [0, 2]
    writer.step()
    assert writer.state[0].tolist() == [2, 2]
    assert [writer.new_ids(row) for row in range(3)] == [[2, 3], [3], [4, 5]]


def test_rows_of_a_nested_state():
    state = [(torch.arange(6).view(3, 2), None), torch.tensor([[7], [8], [9]])]
    (pair, nothing), other = select_rows(state, [2, 0, 0], torch.device("cpu"))
    assert pair.tolist() == [[4, 5], [0, 1], [0, 1]]
    assert nothing is None
    assert other.tolist() == [[9], [7], [7]]


def test_a_row_draws_the_same_wherever_it_stands(model):
    drawn = Sampling(max_new_tokens=30, seed=4)
    prompts = [[2], [2, 5], [2, 6, 7]]
    several = generate_batch_ids(model, prompts, drawn, NO_END)
    assert several[1:] == generate_batch_ids(model, prompts[1:], replace(drawn, seed=5), NO_END)
    assert len({tuple(ids) for ids in generate_batch_ids(model, [[2]] * 5, drawn, NO_END)}) == 5


def test_random_numbers_are_those_of_the_row_s_own_generator():
    points, draws = Points([3, 4]), torch.Generator().manual_seed(4)
    expected = [torch.rand(1, dtype=torch.float64, generator=draws).item() for _ in range(300)]
    assert [points.at(1, place) for place in range(300)] == expected
    assert points.at(1, 7) == expected[7] != points.at(0, 7)


def test_a_prompt_needs_no_logits_but_the_last():
    model = RecurrentLM(RNNConfig(vocab_size=20, emb_dim=8)).eval()
    rows = []
    model.output.register_forward_hook(lambda layer, given, made: rows.append(made.shape))
    generate_batch_ids(model, [[2] * 7, [3] * 5], Sampling(max_new_tokens=2), NO_END)
    assert rows == [(1, 20), (1, 20), (1, 20), (1, 20)]  # nor does the row that still reads its prompt


@pytest.mark.parametrize("output", ["softmax", "adaptive", "sampled"])
def test_the_last_logits_are_those_of_the_whole(output):
    model = RecurrentLM(RNNConfig(vocab_size=40, emb_dim=16, output=output)).double().eval()
    assert isinstance(model.output, AdaptiveOutput) == (output == "adaptive")
    text = torch.randint(1, 40, (3, 5))
    found, state = next_logits(model, text, None)
    expected, last = model(text)
    torch.testing.assert_close(found, expected[:, -1])
    torch.testing.assert_close(state, last)


def test_a_prompt_longer_than_the_context_is_read_through_the_bounded_cache():
    model = TransformerLM(GPTConfig(vocab_size=20, emb_dim=8, num_heads=2, context=4)).double().eval()
    prompt = torch.randint(1, 20, (30,)).tolist()
    writer = Writer(model, [prompt], Sampling(0.0, max_new_tokens=5), NO_END)
    while writer.rows:
        (token,) = writer.step()
        text = torch.tensor([writer.texts[0][:-1]])
        assert token.id == model(text)[0][0, -1].argmax()
        if writer.rows:
            assert {part.shape[2] for cache in writer.state for part in cache} == {3}


def test_scores_are_log_probabilities_under_the_model_and_under_what_was_drawn_from(model):
    sampling = Sampling(0.7, top_k=4, max_new_tokens=6, seed=2, repetition_penalty=1.3)
    prompts, never = [[2, 5, 9], [4]], [0, 1, 3]
    writer = Writer(model, prompts, sampling, NO_END, never, scores=True)
    while writer.rows:
        read = [list(text) for text in writer.texts]
        for token in writer.step():
            logits = model(torch.tensor([read[token.row]]))[0][0, -1]
            expected = logits.log_softmax(dim=-1)[token.id].item()
            assert token.log_prob == pytest.approx(expected, abs=1e-5)
            logits[never] = -torch.inf
            for seen in set(read[token.row]):
                logits[seen] = logits[seen] / 1.3 if logits[seen] > 0 else logits[seen] * 1.3
            best = (logits / 0.7).topk(4)
            place = best.indices.tolist().index(token.id)
            expected = best.values.log_softmax(dim=-1)[place].item()
            assert token.drawn_log_prob == pytest.approx(expected, abs=1e-5)


def test_greedy_choice_is_certain_and_scores_are_optional(model):
    greedy = Sampling(temperature=0.0, max_new_tokens=3)
    writer = Writer(model, [[2]], greedy, NO_END, scores=True)
    (token,) = writer.step()
    assert token.drawn_log_prob == 0
    assert token.log_prob < 0
    (token,) = Writer(model, [[2]], greedy, NO_END).step()
    assert (token.log_prob, token.drawn_log_prob) == (None, None)


def test_nothing_to_do_is_no_error(model):
    assert generate_batch_ids(model, [], Sampling(), NO_END) == []
    assert generate_batch_ids(model, [[2], [3, 4]], Sampling(max_new_tokens=0), NO_END) == [[], []]


def test_the_prompts_stay_as_they_are(model):
    prompts = [[2, 5], [7]]
    generate_batch_ids(model, prompts, Sampling(max_new_tokens=4, repetition_penalty=1.1), NO_END)
    assert prompts == [[2, 5], [7]]


def test_a_prompt_without_tokens_is_refused(model):
    with pytest.raises(InputError, match="prompt 1 has 0 tokens; at least 1 is needed"):
        generate_batch_ids(model, [[2], []], Sampling(), NO_END)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_more_of_the_likeliest_tokens_than_there_are_tokens_is_refused(model, temperature):
    with pytest.raises(InputError, match=r"top_k is 21; it must be in \[1, 20\], the number of tokens"):
        generate_ids(model, [2], Sampling(temperature, top_k=21), NO_END)
    assert generate_ids(model, [2], Sampling(temperature, top_k=20, max_new_tokens=1), NO_END)


def test_one_row_that_is_no_number_is_enough():
    class Broken(Counter):
        def forward(self, tokens, state=None):
            logits, state = super().forward(tokens, state)
            logits[1, -1, 3] = torch.nan
            return logits, state

    for temperature in (0.0, 1.0):
        with pytest.raises(InputError, match="largest logit is nan"):
            generate_batch_ids(Broken(), [[1], [2]], Sampling(temperature), NO_END)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_counts_after_which_nothing_may_be_written_say_so(temperature):
    counts = maximum_likelihood([np.array([2, 5, 1, 6, 3])], vocab_size=8, order=2)
    assert generate_ids(counts, [2, 5], Sampling(temperature, max_new_tokens=2), eos_id=3) == [1, 6]
    with pytest.raises(InputError, match="largest logit is -inf: no token that may be written has a prob"):
        generate_ids(counts, [2, 5], Sampling(temperature), eos_id=3, never=(0, 1, 2))


def test_afterwards_the_model_is_as_it_was_even_after_an_error(model):
    def fail() -> None:
        with set_up_for_writing(model, rows=1, steps=50):
            assert not model.training
            assert model.output.weight.stride() == (1, 20)
            raise InputError("no good")

    model.train()
    with pytest.raises(InputError, match="no good"):
        fail()
    assert model.training
    assert model.output.weight.stride() == (8, 1)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_gpu_writes_the_same(model, cuda, temperature):
    prompts, never = [[2, 5, 9], [4], [2] * 12], (0, 1, 3)
    sampling = Sampling(temperature, max_new_tokens=20, seed=3, top_p=0.9, repetition_penalty=1.2)
    expected = generate_batch_ids(model, prompts, sampling, 7, never)
    assert generate_batch_ids(model.to(cuda), prompts, sampling, 7, never) == expected
