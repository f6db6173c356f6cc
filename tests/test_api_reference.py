"""The reference of lmcore: signatures as the source has them, fields with comments, links that hold."""

import sys
from pathlib import Path

import pytest

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book" / "_ext"))

import api_reference


def signature(what, thing):
    return api_reference.signature(None, what, "", thing, None, "given", "returned")


def test_a_function_shows_its_shapes_as_they_are_written():
    arguments, returned = signature("function", lmcore.recurrence_loop)
    assert arguments.startswith("(a: Float[Tensor, ' T *rest'], b: ")
    assert returned == "Float[Tensor, ' T *rest']"


def test_a_method_is_shown_without_self_and_a_class_method_without_cls():
    arguments, returned = signature("method", lmcore.RecurrentLM.hidden)
    assert arguments.startswith("(tokens: Int[Tensor, 'B T']")
    assert returned.startswith("tuple[Float[Tensor, 'B T D']")
    assert "cls" not in signature("method", lmcore.Tokens.of)[0]


def test_decorators_do_not_hide_a_function():
    assert signature("function", lmcore.evaluate)[0].startswith("(model")


def test_a_class_of_fields_shows_their_defaults_and_lists_them_bases_first():
    arguments, returned = signature("class", lmcore.Sampling)
    assert arguments.startswith("(temperature=1.0, top_k=None")
    assert returned is None
    fields = api_reference.fields(lmcore.RNNConfig)
    assert next(iter(fields)) == "vocab_size"
    assert fields["cell"] == ("cell: str = 'elman'", "a name in CELLS")


def test_a_class_shows_the_init_that_it_has_or_inherits():
    assert signature("class", lmcore.Trainer)[0].startswith("(model")
    assert signature("class", lmcore.MinGRUCell) == signature("class", lmcore.MinLSTMCell)
    assert signature("exception", lmcore.TrainingError) == (None, None)


def test_other_things_are_left_to_autodoc():
    assert signature("property", lmcore.Evaluation.perplexity) == ("given", "returned")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see `generate`", "see :py:obj:`generate <lmcore.generate>`"),
        ("`lmcore.evaluate`", ":py:obj:`lmcore.evaluate <lmcore.evaluate>`"),
        ("`Tokenizer.encode`", ":py:obj:`Tokenizer.encode <lmcore.Tokenizer.encode>`"),
        ("as `fit` does", "as :py:obj:`fit <lmcore.Trainer.fit>` does"),
        ("`torch.nn.GRU`, `_scan`, `os`", "``torch.nn.GRU``, ``_scan``, ``os``"),
        ("``already code``", "``already code``"),
    ],
)
def test_names_become_links_where_there_is_something_to_lead_to(text, shown):
    assert api_reference.linked(text, "Trainer") == shown


def test_a_comment_is_no_markup():
    lines = []
    api_reference.docstring(None, "class", "lmcore.TrainConfig", lmcore.TrainConfig, None, lines)
    assert "- ``max_steps: int | None = None``: optimizer steps" in lines
    assert all("*" not in line.replace("\\*", "") for line in lines)
