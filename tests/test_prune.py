"""A pruned n-gram model: what goes, what stays, and that it still is a distribution."""

from collections import Counter

import numpy as np
import pytest
import torch

import lmcore

V, ORDER = 6, 3
DOCUMENTS = [
    np.array(ids, dtype=np.int32) for ids in ([0, 1, 2, 3, 1, 2, 4], [0, 1, 2, 3, 1, 2, 5, 3], [0, 4, 1])
]
CONTEXTS = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 1], [4, 1], [5, 5], [2, 5]])


@pytest.fixture
def full():
    return lmcore.kneser_ney(DOCUMENTS, V, ORDER)


def counted(length: int) -> Counter:
    """How often each n-gram comes; the first token of a document is context only."""
    rows = [ids.tolist() for ids in DOCUMENTS]
    return Counter(tuple(row[i : i + length]) for row in rows for i in range(len(row) - length + 1))


def rows(model) -> torch.Tensor:
    return model(CONTEXTS)[0][:, -1].exp()


def test_with_room_for_all_nothing_changes(full):
    pruned = lmcore.prune(full, DOCUMENTS, sum(full.num_ngrams))
    assert pruned.num_ngrams == full.num_ngrams
    torch.testing.assert_close(rows(pruned), rows(full), atol=1e-12, rtol=0)


@pytest.mark.parametrize("most", [0, 1, 3, 5, 9, 14])
def test_the_most_frequent_stay_and_rows_sum_to_one(full, most):
    pruned = lmcore.prune(full, DOCUMENTS, most)
    least = pruned.about["pruned"]["least"]
    pairs, triples = counted(2), counted(3)
    kept = [sum(count >= least for count in counts.values()) for counts in (pairs, triples)]
    assert pruned.num_ngrams == [V, *filter(None, kept)]
    assert sum(kept) <= most
    with_one_less = sum(count >= least - 1 for counts in (pairs, triples) for count in counts.values())
    assert least == 1 or with_one_less > most
    torch.testing.assert_close(
        rows(pruned).sum(dim=1), torch.ones(len(CONTEXTS)).double(), atol=1e-12, rtol=0
    )


def test_what_goes_is_predicted_by_the_shorter_context(full):
    """(1, 2) is followed by 3 twice, by 4 once and by 5 once: the last two go."""
    pruned = lmcore.prune(full, DOCUMENTS, most=8)
    assert pruned.about["pruned"]["least"] == 2
    after_12, after_2 = (pruned(torch.tensor([ids]))[0][0, -1].exp() for ids in ([1, 2], [5, 2]))
    old, new = (model.tables[1].find(torch.tensor([1 * V + 2])) for model in (full, pruned))
    share = full.tables[2].share[full.tables[2].find(old * V + 3)][0]
    torch.testing.assert_close(pruned.tables[2].rest[new][0], 1 - share, atol=1e-12, rtol=0)
    expected = (1 - share) * after_2
    expected[3] += share
    torch.testing.assert_close(after_12, expected, atol=1e-12, rtol=0)


def test_nothing_kept_is_the_unigram_level(full):
    pruned = lmcore.prune(full, DOCUMENTS, 0)
    unigram = lmcore.kneser_ney(DOCUMENTS, V, ORDER).tables[0]
    expected = unigram.share[:-1] + unigram.rest[0] / V
    torch.testing.assert_close(rows(pruned), expected.expand(len(CONTEXTS), V), atol=1e-12, rtol=0)


def test_the_first_model_is_not_changed(full):
    before = rows(full)
    lmcore.prune(full, DOCUMENTS, 2)
    assert torch.equal(rows(full), before)


def test_bad_input_is_refused(full):
    with pytest.raises(lmcore.InputError, match="most is -1; it must be 0 or above"):
        lmcore.prune(full, DOCUMENTS, -1)
    with pytest.raises(lmcore.InputError, match="other n-grams than the model was counted from"):
        lmcore.prune(full, DOCUMENTS[:2], 3)
    with pytest.raises(lmcore.InputError, match="goes to all tokens alike"):
        lmcore.prune(lmcore.laplace(DOCUMENTS, V, ORDER), DOCUMENTS, 3)
