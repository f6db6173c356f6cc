"""The ladder at tiny sizes: every rung, skipping what is done, trials that are as many for every model."""

import json
import sys
from pathlib import Path

import pytest

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ladder import __main__ as command
from benchmarks.ladder import climb, neural, plan, records, tables


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("all is well that ends well; " * 400, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ladder(tmp_path_factory, text) -> Path:
    """Every setting, every model, in small."""
    root = tmp_path_factory.mktemp("ladder")
    assert command.main(["--quick", "--out", str(root), "--text", str(text)]) == 0
    return root


@pytest.mark.parametrize("setting", plan.QUICK, ids=lambda setting: setting.name)
def test_every_model_has_its_records_and_a_row_in_the_table(ladder, setting):
    found = records.results(ladder, setting.name)
    learning = set(plan.models_of(setting)) - set(plan.COUNTING)
    expected = {(name, 0) for name in plan.COUNTING} | {(n, s) for n in learning for s in setting.seeds}
    assert {(result["model"], result["seed"]) for result in found} == expected
    for result in found:
        assert result["validation"]["nats_per_token"] > 0
        assert result["environment"]["commit"]
        assert (result["test"] is None) == (setting.text == "shakespeare")
        if result["model"] in learning:
            assert set(result.get("validation_reset", {})) == set(map(str, setting.reset_windows))
    table = tables.table(ladder, setting)
    assert [line.split("  ")[0] for line in table.splitlines()[2:]] == list(plan.models_of(setting))


def test_what_has_a_record_is_not_done_again(ladder, text, monkeypatch):
    def fail(*_):
        raise AssertionError("this was done before")

    monkeypatch.setattr(neural, "train", fail)
    monkeypatch.setattr(climb.counting, "measure", fail)
    assert command.main(["--quick", "--out", str(ladder), "--text", str(text)]) == 0


def test_a_run_that_is_missing_is_done_again_and_its_first_losses_are_the_same(ladder, text):
    setting = plan.find_setting("same_parameters", quick=True)
    folder = records.run_folder(ladder, setting, "gru", 1)
    before = lmcore.load_record(folder / records.RUN)
    (folder / records.RESULT).unlink()
    arguments = ["--quick", "--out", str(ladder), "--setting", setting.name, "--model", "gru"]
    assert command.main([*arguments, "--text", str(text)]) == 0
    again = lmcore.load_record(folder / records.RUN)
    assert [step["loss"] for step in again.steps] == [step["loss"] for step in before.steps]


def test_the_best_trial_is_taken(ladder, text):
    setting = plan.find_setting("same_seconds", quick=True)
    path = records.trials_path(ladder, setting, "lstm")
    done = records.load_trials(path)
    best = min(done, key=lambda trial: trial["nats_per_token"])
    for result in records.results(ladder, setting.name):
        if result["model"] == "lstm":
            assert result["spec"] == best["spec"]


def test_the_longest_run_is_mixed_with_counts_and_kept(ladder):
    folder = ladder / "longest" / "lstm-0"
    result = json.loads((folder / records.RESULT).read_text(encoding="utf-8"))
    mixture = result["mixture"]
    assert 0 < mixture["weight_of_network"] < 1
    assert mixture["validation"]["nats_per_token"] <= result["validation"]["nats_per_token"]
    model, _ = lmcore.load_checkpoint(folder / records.WEIGHTS)
    assert model.num_parameters == result["parameters"]


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("kind", plan.NEURAL)
def test_every_model_gets_as_many_trials_all_different_and_always_the_same(kind, quick):
    settings = plan.QUICK if quick else plan.SETTINGS
    for setting in (s for s in settings if not (s.tuned_by or s.specs)):
        specs = plan.trials(kind, setting, quick)
        assert len(set(specs)) == setting.trials
        assert specs == plan.trials(kind, setting, quick)


@pytest.mark.parametrize("kind", plan.NEURAL)
def test_sizes_can_be_made_equal(kind):
    parameters = plan.find_setting("same_parameters", quick=False).parameters
    for num_layers in (1, 2):
        spec = neural.with_parameters(plan.Spec(kind, num_layers=num_layers), 8192, parameters)
        found = neural.make_shape(spec, 8192, pad_id=0).num_parameters
        assert abs(found - parameters) <= 0.03 * parameters


def test_a_size_that_cannot_be_reached_is_refused():
    with pytest.raises(lmcore.InputError, match="as close as it gets to 30"):
        neural.with_parameters(plan.Spec("gru"), 10, 30)


def test_a_long_record_keeps_its_first_steps_and_few_of_the_others():
    steps = [{"step": n, "loss": 1.0} for n in range(1, 5001)]
    kept = [step["step"] for step in neural.thinned(lmcore.Run({}, {}, steps)).steps]
    assert kept[:20] == list(range(1, 21))
    assert kept[-1] == 5000
    assert len(kept) < 450


def test_bad_input_is_told_in_one_line(capsys, tmp_path):
    for arguments, message in (
        (["--model", "oracle"], "there is no model 'oracle'"),
        (["--setting", "x"], "there is no setting 'x'"),
        (["--device", "abacus"], "device is 'abacus'"),
        (["--setting", "characters_60", "--text", str(tmp_path / "none.txt")], "give --text"),
    ):
        assert command.main([*arguments, "--quick", "--out", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err


def test_results_say_when_and_where(ladder):
    path = next(ladder.glob(f"same_seconds/elman-0/{records.RESULT}"))
    result = json.loads(path.read_text(encoding="utf-8"))
    assert {"date", "environment", "seed", "spec", "parameters"} <= set(result)
    assert {"load_before", "processor", "commit"} <= set(result["environment"])
