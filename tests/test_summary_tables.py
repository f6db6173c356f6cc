"""The page of summary tables says what the code does."""

import dataclasses
import re
from pathlib import Path

import pytest

import lmcore

PAGE = (Path(__file__).resolve().parents[1] / "book" / "summary_tables.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:] for line in PAGE.splitlines() if len(cells := re.split(r" ?\| ?", line)[1:-1]) > 3
}
CELLS = ("Elman", "GRU", "LSTM", "sLSTM", "minGRU", "minLSTM")
D = 8


def value(formula: str) -> int:
    """Of a formula such as $2D^2 + D$."""
    code = formula.strip("$").replace("^", "**")
    return eval(re.sub(r"(\d)(D|C)", r"\1*\2", code).replace("CD", "C*D"), {"D": D, "C": 5})


def parameters(layers: int, cell: str) -> int:
    if cell == "Transformer":
        return lmcore.TransformerLM(
            lmcore.GPTConfig(5, emb_dim=D, num_layers=layers, num_heads=2)
        ).num_parameters
    config = lmcore.RNNConfig(5, emb_dim=D, num_layers=layers, cell=cell.lower())
    return lmcore.RecurrentLM(config).num_parameters


@pytest.mark.parametrize("cell", [*CELLS, "Transformer"])
def test_a_layer_has_as_many_parameters_as_the_table_says(cell):
    assert value(ROWS[cell][1]) == parameters(2, cell) - parameters(1, cell)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_has_as_many_numbers_as_the_table_says(cell):
    layer = lmcore.RecurrentLM(lmcore.RNNConfig(5, emb_dim=D, num_layers=1, cell=cell.lower())).layers[0]
    state = layer.initial_state(1)
    assert value(ROWS[cell][2]) == sum(
        part.numel() for part in (state if isinstance(state, tuple) else [state])
    )


def test_settings_of_the_sampling_stand_there_in_the_order_in_which_they_act():
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert set(listed) == {field.name for field in dataclasses.fields(lmcore.Sampling)} - {
        "max_new_tokens",
        "seed",
    }
    acting = re.search(
        r"order, which is that of `transformers`: (.+?)\.", lmcore.Sampling.__doc__, re.DOTALL
    )[1]
    words = [re.sub(r"\W+", "_", word.strip()) for word in acting.split(",")]
    assert [name.removesuffix("_p") if name == "typical_p" else name for name in listed] == words
