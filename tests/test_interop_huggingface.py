"""A model of lmcore writes in transformers what it writes here, in every way of writing."""

import itertools

import pytest
import torch
import transformers
from lively_models import NAMES, lively, prompts
from transformers import pipeline

import lmcore
from lmcore.interop.huggingface import as_transformers, save_for_transformers

transformers.utils.logging.disable_progress_bar()
GREEDY = {"do_sample": False, "max_new_tokens": 12}


def lmcore_text(model, tokenizer, prompt: str, new: int = 12) -> str:
    return lmcore.generate(model, tokenizer, prompt, lmcore.Sampling(temperature=0.0, max_new_tokens=new))


def batch(tokenizer, texts: list[str]):
    return tokenizer(texts, padding=True, return_tensors="pt")


@pytest.fixture(params=NAMES)
def pair(request, char):
    """A model, and itself with its tokenizer in transformers."""
    model = lively(request.param, char)
    return model, *as_transformers(model, char)


@pytest.fixture
def gru(char):
    model = lively("gru", char)
    return model, *as_transformers(model, char)


def test_greedy_text_is_that_of_lmcore_on_100_prompts(pair, char, documents):
    model, wrapped, tokenizer = pair
    texts = prompts(documents, 100)
    written = wrapped.generate(**batch(tokenizer, texts), **GREEDY)
    found = tokenizer.batch_decode(written, skip_special_tokens=True)
    expected = [lmcore_text(model, char, text) for text in texts]
    assert found == expected
    continuations = {whole[len(text) :] for text, whole in zip(texts, expected, strict=True)}
    assert len(continuations) > 30  # they do not all say the same


def test_greedy_text_of_the_trained_model_is_that_of_lmcore_on_100_prompts():
    """The committed network, as it is, in float32."""
    model, bpe = lmcore.load_checkpoint(lmcore.committed("elman_2x256"))
    wrapped, tokenizer = as_transformers(model.eval(), bpe)
    held_out = lmcore.builtin_corpus().validation
    texts = [held_out[i % len(held_out)][40 * i :][: 20 + i % 30].strip() for i in range(100)]
    expected = lmcore.generate_batch(model, bpe, texts, lmcore.Sampling(0.0, max_new_tokens=20))
    for start in range(0, 100, 25):
        inputs = batch(tokenizer, texts[start : start + 25])
        written = wrapped.generate(**inputs, do_sample=False, max_new_tokens=20)
        found = tokenizer.batch_decode(written, skip_special_tokens=True)
        assert found == [one.text for one in expected[start : start + 25]]
    assert len({one.text for one in expected}) == 100
    assert all(len(one.ids) == 20 or one.ended_by == "eos" for one in expected)


def test_one_prompt_at_a_time_gives_what_the_padded_batch_gives(pair, documents):
    _, wrapped, tokenizer = pair
    texts = prompts(documents, 8)
    together = wrapped.generate(
        **batch(tokenizer, texts), **GREEDY, output_logits=True, return_dict_in_generate=True
    )
    width = batch(tokenizer, texts)["input_ids"].shape[1]
    for row, text in enumerate(texts):
        inputs = batch(tokenizer, [text])
        one = wrapped.generate(**inputs, **GREEDY, output_logits=True, return_dict_in_generate=True)
        new = one.sequences[0, inputs["input_ids"].shape[1] :]
        assert together.sequences[row, width : width + len(new)].tolist() == new.tolist()
        for step, logits in enumerate(one.logits):
            torch.testing.assert_close(together.logits[step][row], logits[0])


def test_each_step_reads_one_token(gru, monkeypatch):
    _, wrapped, tokenizer = gru
    widths, hidden = [], wrapped.model.hidden
    monkeypatch.setattr(
        wrapped.model, "hidden", lambda *given: widths.append(given[0].shape[1]) or hidden(*given)
    )
    inputs = batch(tokenizer, ["The boat"])
    wrapped.generate(**inputs, do_sample=False, min_new_tokens=9, max_new_tokens=9)
    assert widths == [9] + [1] * 8


def test_without_a_carried_state_the_text_is_the_same(pair, documents):
    _, wrapped, tokenizer = pair
    inputs = batch(tokenizer, prompts(documents, 6))
    assert torch.equal(
        wrapped.generate(**inputs, **GREEDY, use_cache=False), wrapped.generate(**inputs, **GREEDY)
    )


def test_a_text_goes_on_from_a_state_that_was_handed_out(pair):
    _, wrapped, tokenizer = pair
    inputs = batch(tokenizer, ["The boat went", "A"])
    five = {"do_sample": False, "min_new_tokens": 5, "max_new_tokens": 5}
    first = wrapped.generate(**inputs, **five, return_dict_in_generate=True)
    mask = torch.cat([inputs["attention_mask"], torch.ones(2, 5, dtype=torch.long)], dim=1)
    second = wrapped.generate(
        first.sequences,
        attention_mask=mask,
        past_key_values=first.past_key_values,
        **five,
    )
    ten = {"do_sample": False, "min_new_tokens": 10, "max_new_tokens": 10}
    assert torch.equal(second, wrapped.generate(**inputs, **ten))


def test_sampling_draws_from_the_distribution_of_lmcore(pair, char, documents):
    _, wrapped, tokenizer = pair
    inputs = batch(tokenizer, prompts(documents, 5))
    options = {"do_sample": True, "temperature": 0.7, "top_k": 7, "top_p": 0.8, "max_new_tokens": 6}
    options |= {"output_logits": True, "output_scores": True, "return_dict_in_generate": True}
    torch.manual_seed(1)
    found = wrapped.generate(**inputs, **options)
    never = [i for i in char.special_ids if i != char.eos_id]
    sampling = lmcore.Sampling(temperature=0.7, top_k=7, top_p=0.8)
    for logits, scores in zip(found.logits, found.scores, strict=True):
        logits[:, never] = -torch.inf
        torch.testing.assert_close(scores.softmax(dim=1), lmcore.next_token_probs(logits, sampling))
    torch.manual_seed(1)
    assert torch.equal(wrapped.generate(**inputs, **options).sequences, found.sequences)


def log_prob(model, ids: list[int], start: int) -> float:
    """Of the tokens from ``start`` on, from one reading of the whole text."""
    log_probs = model(torch.tensor([ids]))[0][0].detach().log_softmax(dim=-1)
    return sum(float(log_probs[at - 1, ids[at]]) for at in range(start, len(ids)))


def test_beams_score_as_reading_their_text_again_says(pair, char):
    model, wrapped, tokenizer = pair
    inputs = batch(tokenizer, ["The boat went", "A", "In the"])
    found = wrapped.generate(
        **inputs, do_sample=False, num_beams=5, num_return_sequences=2, max_new_tokens=8, length_penalty=1.0,
        output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    for row, sequence in enumerate(found.sequences.tolist()):
        real = inputs["attention_mask"][row // 2].bool()
        prompt, new = inputs["input_ids"][row // 2][real].tolist(), sequence[len(real) :]
        new = (
            new[: new.index(char.eos_id) + 1] if char.eos_id in new else [i for i in new if i != char.pad_id]
        )
        expected = log_prob(model, prompt + new, len(prompt)) / len(new)
        assert found.sequences_scores[row] == pytest.approx(expected, abs=1e-4)


def test_more_beams_find_a_likelier_text(gru, char):
    model, wrapped, tokenizer = gru
    scores = {1: [], 6: []}
    for beams, text in itertools.product(scores, ["The boat", "In the", "A ", "So they"]):
        inputs = batch(tokenizer, [text])
        ids = wrapped.generate(
            **inputs, do_sample=False, num_beams=beams, min_new_tokens=6, max_new_tokens=6
        )[0]
        scores[beams].append(log_prob(model, ids.tolist(), len(text) + 1))
    assert sum(scores[6]) > sum(scores[1])


def test_a_pipeline_writes_what_lmcore_writes(char, documents, tmp_path):
    model = lively("lstm", char).float()
    save_for_transformers(tmp_path / "model", model, char)
    write = pipeline("text-generation", model=str(tmp_path / "model"))
    texts = prompts(documents, 6)
    expected = [lmcore_text(model, char, text) for text in texts]
    assert [write(text, **GREEDY)[0]["generated_text"] for text in texts] == expected
    assert [found[0]["generated_text"] for found in write(texts, batch_size=4, **GREEDY)] == expected
    torch.manual_seed(0)
    assert write("The", max_new_tokens=9, do_sample=True, top_k=0)[0]["generated_text"].startswith("The")


def test_a_pipeline_does_not_call_the_model_unsupported(gru, capfd):
    _, wrapped, tokenizer = gru
    pipeline("text-generation", model=wrapped, tokenizer=tokenizer)
    assert "not supported" not in "".join(capfd.readouterr())
