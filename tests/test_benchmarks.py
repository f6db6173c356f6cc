"""Benchmarks run through at tiny sizes, and what they compare does the same work. Nothing looks at a time."""

import json
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import __main__ as command
from benchmarks import book, chars, generation, measure, quality, reference, scaling, setting, step, ways


@pytest.fixture
def children_here(monkeypatch):
    """Child processes take seconds to start: call their functions in this process instead."""

    def here(function, **arguments):
        module, name = function.split(":")
        arguments = json.loads(json.dumps(arguments))
        return getattr(sys.modules[module], name)(**arguments), measure.peak_bytes() + 1000

    monkeypatch.setattr(step, "in_child", here)
    monkeypatch.setattr(scaling, "in_child", here)


def through_json(record):
    return json.loads(json.dumps(record))


# --- measure ---------------------------------------------------------------------------------------


def test_steps_take_turns_and_the_warm_up_is_dropped():
    calls = []
    steps = {name: lambda name=name: calls.append(name) or len(calls) for name in "AB"}
    seconds, results = measure.interleave(steps, rounds=2, warm_up=1)
    assert calls == ["A", "B"] * 3
    assert results == {"A": [3, 5], "B": [4, 6]}
    assert {name: len(values) for name, values in seconds.items()} == {"A": 2, "B": 2}
    with pytest.raises(lmcore.InputError, match="0 rounds"):
        measure.interleave(steps, rounds=0)


def test_the_exponent_of_a_power_is_found():
    x = [3.0, 7.0, 20.0, 90.0]
    assert measure.exponent(x, [5 * value**1.7 for value in x]) == pytest.approx(1.7)
    noisy = [2 * value**2 * factor for value, factor in zip(x, (1.1, 0.9, 0.9, 1.1), strict=True)]
    assert measure.exponent(x, noisy) == pytest.approx(2, abs=0.1)
    for bad in ([1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 3.0]):
        with pytest.raises(lmcore.InputError, match="above 0"):
            measure.exponent(bad, x)


def test_a_child_answers_and_its_own_memory_is_counted():
    here = torch.ones(200_000_000 // 4)  # this process holds 200 MB that are not the child's
    parent = measure.peak_bytes()
    small, peak = measure.in_child("benchmarks.measure:spread", values=[1.0, 2.0, 6.0])
    assert small == "2.000 (1.000..6.000)"
    assert here.nbytes < peak < parent
    with pytest.raises(RuntimeError, match="status 1"):
        measure.in_child("benchmarks.measure:spread", nonsense=1)


def test_a_record_says_where_it_comes_from_and_survives_the_file(tmp_path):
    record = measure.new_record("trial", quick=True, width=8)
    record["seconds"] = [0.25, 1.5e-05, 3.0]
    measure.save(record, tmp_path / "new" / "trial.json")
    text = (tmp_path / "new" / "trial.json").read_text(encoding="utf-8")
    assert json.loads(text) == record
    assert '"seconds": [ 0.25, 1.5e-05, 3.0 ]' in text
    assert record["settings"] == {"width": 8}
    assert record["environment"]["threads"] == torch.get_num_threads()
    assert "QUICK" in measure.headline(record)
    assert [path.name for path in tmp_path.rglob("*.tmp")] == []


def test_a_table_is_aligned():
    lines = measure.text_table(["name", "n"], [["a", 1], ["long one", 1000]]).splitlines()
    assert lines == ["name         n", "--------  ----", "a            1", "long one  1000"]


def test_bare_products_have_their_shape():
    torch.manual_seed(0)
    product = measure.matmul(3, 4, 5)
    a, b, out = (cell.cell_contents for cell in product.__closure__)
    product()
    torch.testing.assert_close(out, a @ b)
    assert out.shape == (3, 5)


# --- the command -----------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_writes_the_record(tmp_path, capsys):
    assert command.main(["generation", "--quick", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "generation: " in printed
    assert generation.CARRIED in printed
    record = json.loads((tmp_path / "generation.json").read_text(encoding="utf-8"))
    assert printed.rstrip().endswith(generation.table(record).rstrip())


def test_an_unknown_name_and_a_missing_text(tmp_path, capsys):
    assert command.main(["stepp", "--out", str(tmp_path)]) == 2
    assert "there is no benchmark 'stepp'" in capsys.readouterr().err
    assert command.main(["chars", "--quick", "--out", str(tmp_path), "--text", "/no/such.txt"]) == 0
    assert "skipped, there is no text at /no/such.txt" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- the ways do the same work ---------------------------------------------------------------------


@pytest.fixture
def batches():
    """The first batch of the reference's loader and of lmcore's."""
    sizes, data = setting.TINY, setting.data(quick=True)
    slow = reference.endless(data.train, data.tokenizer, sizes.seq_len, sizes.batch_size)
    fast = ways.sentence_batches(sizes, data.tokenizer, data.train)
    return slow, fast


@pytest.fixture
def padded(batches):
    """Inputs and targets of which some are padding."""
    inputs, targets = next(batches[0])
    assert (targets == setting.data(quick=True).tokenizer.pad_id).any()
    return inputs, targets


def test_both_loaders_give_the_same_batches_over_epochs(batches):
    slow, fast = batches
    for _ in range(25):  # an epoch is 8 batches or so
        (inputs, targets), (same_inputs, same_targets, *_) = next(slow), next(fast)
        assert torch.equal(inputs, same_inputs)
        assert torch.equal(targets, same_targets)


def test_reference_and_lmcore_agree_in_loss_and_gradients(padded):
    inputs, targets = padded
    pad_id = setting.data(quick=True).tokenizer.pad_id
    model = ways.start_model(setting.TINY, pad_id).double()
    slow = reference.ReferenceLM(setting.TINY.vocab_size, 8, 2, pad_id).double()
    slow.load_state_dict(model.state_dict())
    expected = reference.reference_loss(slow, inputs, targets, pad_id)
    nats, count, _ = lmcore.next_token_nats(model, inputs, targets, pad_id)
    assert count == (targets != pad_id).sum()
    torch.testing.assert_close(nats / count, expected, rtol=0, atol=1e-10)
    expected.backward()
    (nats / count).backward()
    found, wanted = dict(model.named_parameters()), dict(slow.named_parameters())
    assert set(found) == set(wanted)
    for name in wanted:
        torch.testing.assert_close(found[name].grad, wanted[name].grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("loss", [ways.whole_logits_loss, ways.torch_chunked_loss])
def test_the_ways_on_torch_rnn_agree_with_the_reference(loss, padded):
    if loss is ways.torch_chunked_loss and not hasattr(F, "linear_cross_entropy"):
        pytest.skip("this torch has no linear_cross_entropy")
    inputs, targets = padded
    pad_id = setting.data(quick=True).tokenizer.pad_id
    model = ways.start_model(setting.TINY, pad_id).double()
    slow = reference.ReferenceLM(setting.TINY.vocab_size, 8, 2, pad_id).double()
    slow.load_state_dict(model.state_dict())
    expected = reference.reference_loss(slow, inputs, targets, pad_id)
    found = loss(ways.TorchRNN(model).double(), inputs, targets, pad_id)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_torch_rnn_trains_as_many_numbers_as_the_reference():
    model = setting.new_model(setting.TINY, pad_id=0)
    trained = [p for p in ways.TorchRNN(model).parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == model.num_parameters


def test_the_reference_setting_has_the_parameters_of_the_reference():
    model = setting.new_model(setting.REFERENCE, pad_id=0)
    assert model.num_parameters == 8_292_619
    assert setting.REFERENCE.mflop_per_prediction() == pytest.approx(24.98, abs=0.005)


def test_starting_weights_tell_a_wrong_model_from_a_right_one():
    loss, _ = ways.make_step(
        ways.LMCORE, setting.TINY, setting.data(True).tokenizer, setting.data(True).train
    )()
    uniform = torch.tensor(300.0).log().item()
    assert abs(loss - uniform) > 0.02


def test_different_losses_are_noticed():
    ways_agree = {ways.REFERENCE: 5.0, ways.LMCORE: 5.0001}
    step.check_equal(ways_agree)
    with pytest.raises(RuntimeError, match=r"first loss of lmcore is 5\.1"):
        step.check_equal({**ways_agree, ways.LMCORE: 5.1})


def test_a_torch_without_the_chunked_loss_is_told_and_left_out(monkeypatch, capsys):
    monkeypatch.delattr(F, "linear_cross_entropy", raising=False)
    assert ways.present_ways() == [ways.REFERENCE, ways.RNN, ways.LMCORE]
    assert "skipped" in capsys.readouterr().err


# --- each benchmark at tiny sizes ------------------------------------------------------------------


def test_step_runs_through(children_here):
    record = through_json(step.run(quick=True))
    assert set(record["seconds"]) == set(record["peak_bytes"]) == set(record["first_loss"])
    assert {len(values) for values in record["seconds"].values()} == {2}
    assert len(record["predictions"]) == 2
    assert all(way in step.table(record) for way in record["seconds"])


def test_the_share_of_a_roofline():
    product = {"gflop": 100.0, "seconds": [2.0, 1.0, 4.0]}  # 50 GFLOP/s in the median
    record = {
        "mflop_per_prediction": 20.0,
        "predictions": [900, 1000, 1100],  # 20 GFLOP in the median
        "seconds": {"way": [0.8, 0.7, 0.9]},
        "matrix_products": {"one": product},
    }
    assert step.shares(record, "way") == {"one": pytest.approx(20 / (50 * 0.8))}
    assert step.speed(record, "way") == pytest.approx(3000 / 2.4)


def test_generation_runs_through():
    record = through_json(generation.run(quick=True))
    assert [entry["new_tokens"] for entry in record["lengths"]] == [2, 8]
    assert generation.RERUN in generation.table(record)


def test_generation_notices_different_tokens(monkeypatch):
    monkeypatch.setattr(generation, "generate_by_rerunning", lambda model, prompt, new: [1] * new)
    with pytest.raises(RuntimeError, match="different tokens"):
        generation.run(quick=True)


def test_chars_runs_through(tmp_path, documents):
    path = tmp_path / "some.txt"
    text = "\n".join(documents)
    path.write_text(text, encoding="utf-8")
    record = through_json(chars.run(quick=True, path=path))
    (run,) = record["runs"]
    assert run["validation_characters"] == len(text) - len(text) * 9 // 10 - 1
    assert f"{run['nats_per_char']:.3f}" in chars.table(record)


def test_scaling_runs_through(children_here):
    record = through_json(scaling.run(quick=True))
    assert [point["size"] for point in record["points"]] == [4000, 8000]
    assert "4,000..8,000" in scaling.table(record)


def test_time_steps_are_one_less_than_tokens():
    point = {"varied": "seq_len", "size": 9, "seconds": [3.0, 1.0, 2.0], "bytes": 7}
    assert scaling.curve({"points": [point]}, "seq_len") == ([8], [2.0], [7])


# --- time to quality -------------------------------------------------------------------------------


def test_quality_runs_through_and_both_codes_learn_the_same():
    record = through_json(quality.run(quick=True))
    assert record["finished"]
    slow, fast = (quality.find(record, quality.PLAIN, way)[0] for way in (ways.REFERENCE, ways.LMCORE))
    assert slow["predictions"] == fast["predictions"]
    assert fast["perplexity"] == pytest.approx(slow["perplexity"], rel=1e-3)
    reached = quality.first_to_reach(record, quality.FAST)
    (repeated,) = quality.find(record, quality.FAST, ways.REFERENCE)
    assert (repeated["steps"], repeated["predictions"]) == (reached["steps"], reached["predictions"])
    assert repeated["perplexity"] < slow["perplexity"]
    assert "times sooner" in quality.table(record)


def test_quality_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    path, train = tmp_path / "quality.json", quality.train_lmcore

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(quality, "train_lmcore", stop)
    with pytest.raises(KeyboardInterrupt):
        quality.resume(True, path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert not kept["finished"]
    assert len(kept["runs"]) == 1
    monkeypatch.setattr(quality, "train_lmcore", train)
    record = quality.resume(True, path)
    assert record["finished"]
    assert record["runs"][0] == kept["runs"][0]
    assert len(record["runs"]) == 7


def test_quality_keeps_runs_of_recipes_that_are_the_same(tmp_path):
    found = quality._start(True)
    names = [recipe.name for recipe in (quality.PLAIN, quality.FAST)]
    found["runs"] = [
        {"recipe": name, "max_seconds": seconds} for name in names for seconds in (None, 0.1, 77.0)
    ]
    now = quality._start(True)
    expected = [run for run in found["runs"] if run["max_seconds"] != 77.0]
    assert quality._still_valid(found, now) == expected
    found["settings"]["recipes"][names[1]]["batch_size"] += 1
    assert quality._still_valid(found, now) == [run for run in expected if run["recipe"] == names[0]]
    found["settings"]["vocab_size"] += 1
    assert quality._still_valid(found, now) == []


def test_no_budget_may_reach_the_goal():
    runs = [
        {"recipe": "reference recipe", "code": ways.REFERENCE, "perplexity": 50.0, "seconds": 9.0},
        {"recipe": "lmcore's recipe", "code": ways.LMCORE, "perplexity": 60.0, "seconds": 1.0},
    ]
    assert quality.first_to_reach({"runs": runs}, quality.FAST) is None
    runs += [{**runs[1], "perplexity": p, "seconds": s} for p, s in ((40.0, 3.0), (49.0, 2.0))]
    assert quality.first_to_reach({"runs": runs}, quality.FAST)["seconds"] == 2.0


# --- the book --------------------------------------------------------------------------------------


def write_notebook(path: Path, seconds: list[float]) -> None:
    def at(second: float) -> str:
        return f"2026-01-01T00:00:{second:09.6f}Z"

    cells = [{"cell_type": "markdown", "metadata": {}}]
    for length in seconds:
        times = {"iopub.status.busy": at(1), "iopub.status.idle": at(1 + length)}
        cells.append({"cell_type": "code", "metadata": {"execution": times}})
    notebook = {"cells": cells, "metadata": {"peak_bytes": 123_000_000} if seconds else {}}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_seconds_of_notebooks_are_read_from_their_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "EXECUTED", tmp_path)
    assert "no executed notebooks" in book.run(quick=True)["skipped"]
    write_notebook(tmp_path / "one.ipynb", [0.5, 2.25])
    write_notebook(tmp_path / "two.ipynb", [])
    record = through_json(book.run(quick=True))
    expected = {"cells": 2, "seconds": 2.75, "longest": 2.25, "peak_bytes": 123_000_000}
    assert record["notebooks"] == {"one": expected}
    assert "2.8" in book.table(record)
    assert "123" in book.table(record)


def test_the_build_is_run_and_its_parts_are_told(tmp_path, monkeypatch):
    script = tmp_path / "scripts" / "build_book.py"
    script.parent.mkdir()
    lines = ["==> one.ipynb: executed in 3 s", "==> two.ipynb: executed before", "==> building the book (x)"]
    script.write_text("\n".join(f"print({line!r})" for line in lines), encoding="utf-8")
    monkeypatch.setattr(book, "ROOT", tmp_path)
    build = book.build()
    assert build["executed"] == ["one"]
    assert 0 <= build["strict_build_seconds"] <= build["seconds"]
    script.write_text("raise SystemExit(3)", encoding="utf-8")
    with pytest.raises(RuntimeError, match="status 3"):
        book.build()
