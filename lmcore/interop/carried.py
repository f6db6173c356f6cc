"""What a model remembers of a batch of texts, as other libraries want to have it.

They ask for other rows (beam search) and for rows that are padded. What is known of a state is that its
tensors hold one row per text (see `lmcore.model.map_state`).
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcore.model import LanguageModel, map_state
from lmcore.step import tensors_in

Group = tuple[Tensor, Any]  # rows of a batch (R,), in rising order, and the state that they have in common


class CarriedState:
    """The memory of a batch, to hand from one call to the next.

    Rows whose states have one shape are one group. For a recurrent model that is every row; the cache of a
    Transformer is as long as what a row has read, until it is full. ``seen`` counts the columns that were
    read, padding included. The methods are those that ``generate`` of transformers asks of a cache.
    """

    is_compileable = False  # shapes change, and so does the number of groups
    is_croppable = False  # a recurrent state has no way back

    def __init__(self, groups: list[Group], seen: int):
        self.groups, self.seen = groups, seen

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.seen

    def reorder_cache(self, beam_idx: Int[Tensor, " B"]) -> None:
        """Row i goes on from what row beam_idx[i] remembers."""
        size = sum(len(rows) for rows, _ in self.groups)
        self.groups = [group for old in self.groups if len((group := _chosen(old, beam_idx, size))[0])]


def _chosen(group: Group, beam_idx: Tensor, size: int) -> Group:
    """The new rows that go on from a row of this group."""
    rows, state = group
    place = torch.full((size,), -1, device=rows.device)  # of each old row within this group
    place[rows] = torch.arange(len(rows), device=rows.device)
    chosen = place[beam_idx]
    new_rows = (chosen >= 0).nonzero().squeeze(1)
    return new_rows, _of_rows(state, chosen[new_rows])


def read(
    model: LanguageModel,
    tokens: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"] | None = None,
    carried: CarriedState | None = None,
) -> tuple[Float[Tensor, "B T D"], CarriedState]:
    """`LanguageModel.hidden` for texts with padding anywhere: what is False in the mask is never read.

    Where the mask is False, the hidden output is zero and the state is held. Without a mask, or where it is
    True everywhere, this is one call of the model.
    """
    B, T = tokens.shape
    if carried is None:
        carried = CarriedState([(torch.arange(B, device=tokens.device), model.initial_state(B))], 0)
    if len(carried.groups) == 1 and (mask is None or bool(mask.all())):
        [(rows, state)] = carried.groups
        hidden, state = model.hidden(tokens, state)
        return hidden, CarriedState([(rows, state)], carried.seen + T)
    mask = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    hidden = model.embedding.weight.new_zeros(B, T, model.config.emb_dim)
    parts = [part for group in carried.groups for part in _read_group(model, tokens, mask, group, hidden)]
    return hidden, CarriedState(_grouped(parts), carried.seen + T)


def _read_group(
    model: LanguageModel, tokens: Tensor, mask: Tensor, group: Group, hidden: Tensor
) -> list[Group]:
    """Fill the group's rows of ``hidden``; its rows afterwards, by how many tokens they have read.

    The tokens of each row are moved together. All rows are then read up to the end of the shortest, which
    leaves; the others up to the end of the next one, and so on: no padding is read, and no token twice.
    """
    rows, state = group
    real = mask[rows]  # (R, T)
    columns = (~real).long().sort(dim=1, stable=True).indices  # of the real tokens first, in their order
    lengths, start, parts = real.sum(dim=1), 0, []
    for stop in lengths.unique().tolist():  # in rising order
        if stop > start:
            here = rows[:, None], columns[:, start:stop]
            outputs, state = model.hidden(tokens[here], state)
            hidden[here] = outputs.to(hidden.dtype)
        ends, goes_on = (lengths == stop).nonzero().squeeze(1), (lengths > stop).nonzero().squeeze(1)
        parts.append((rows[ends], _of_rows(state, ends)))
        rows, columns, lengths = rows[goes_on], columns[goes_on], lengths[goes_on]
        state, start = _of_rows(state, goes_on), stop
    return parts


def _of_rows(state: Any, rows: Tensor) -> Any:
    return map_state(lambda tensor: tensor[rows], state)


def _grouped(parts: list[Group]) -> list[Group]:
    """Rows whose states have one shape, put together."""
    by_shape: dict[tuple, list[Group]] = {}
    for rows, state in parts:
        shape = tuple(tensor.shape[1:] for tensor in tensors_in(state))
        by_shape.setdefault(shape, []).append((rows, state))
    return [_joined(same) for same in by_shape.values()]


def _joined(parts: list[Group]) -> Group:
    rows = torch.cat([rows for rows, _ in parts])
    order = rows.argsort()
    same_place = zip(*(tensors_in(state) for _, state in parts), strict=True)
    return rows[order], map_state(lambda _: torch.cat(next(same_place))[order], parts[0][1])
