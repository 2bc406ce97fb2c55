"""Which item comes next: the scores against plain NumPy, what a place may see, and that order is learned."""

import numpy as np
import pytest

from mini_repr.claims.bench.fitting import fit
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn.mlp import normalised
from mini_repr.nn.next_item import NextItem
from mini_repr.nn.transformer import block_definition

TEXTS = np.random.default_rng(3).standard_normal((7, 5))
VISITS = np.array([[1, 4, 2], [6, 6, 0]])


def made(items=TEXTS, dtype=np.float64, **settings):
    return NextItem(items, 4, np.random.default_rng(0), dtype, **{"width": 8, **settings})


@pytest.mark.parametrize("items", [TEXTS, 7], ids=["texts", "learned"])
def test_scores_equal_plain_numpy(items):
    model = made(items, depth=2)
    state = model.state_dict()
    rows = state["table.weight"] if isinstance(items, int) else TEXTS @ state["map.weight"] + state["map.bias"]
    for visit, scores in zip(VISITS, model(VISITS).data, strict=True):
        x = rows[visit] + state["positions"][:3]
        for block in model.blocks:
            x = block_definition(block, x, np.tri(3, dtype=bool))
        np.testing.assert_allclose(scores, normalised(x, state["norm.gain"], state["norm.bias"]) @ rows.T, rtol=1e-9)


def test_a_place_sees_no_later_item():
    model, other = made(), VISITS.copy()
    other[:, 2] = (other[:, 2] + 1) % 7
    np.testing.assert_array_equal(model(other).data[:, :2], model(VISITS).data[:, :2])
    assert np.abs(model(other).data[:, 2] - model(VISITS).data[:, 2]).max() > 1e-3


def test_what_is_known_of_items_stays():
    model = made()
    assert "items" in model.state_dict() and all(p.shape != TEXTS.shape for p in model.parameters())
    cross_entropy(model(VISITS[:, :2]).reshape(4, 7), VISITS[:, 1:].ravel()).backward()
    assert all(p.grad is not None for p in model.parameters())
    np.testing.assert_array_equal(model.items, TEXTS)


def test_a_rule_of_the_last_two_items_is_learned():
    """The next item is the sum of the last two, modulo 7: no mean of rows tells it."""
    rng = np.random.default_rng(0)
    visits = np.zeros((400, 4), dtype=int)
    visits[:, :2] = rng.integers(0, 7, size=(400, 2))
    for t in (2, 3):
        visits[:, t] = (visits[:, t - 1] + visits[:, t - 2]) % 7
    model = made(7, np.float32, width=32)

    def loss_of(index):
        return cross_entropy(model(visits[index, :3])[:, 1:].reshape(-1, 7), visits[index, 2:].ravel())

    fit(model.named_parameters(), loss_of, 400, rng, steps=300, lr=1e-2)
    assert (model(visits[:, :3]).data[:, 1:].argmax(axis=2) == visits[:, 2:]).mean() > 0.95


@pytest.mark.parametrize("visits", [np.zeros((2, 5), int), np.array([[7]]), np.array([[-1]])])
def test_visits_out_of_range_are_refused(visits):
    with pytest.raises(ValueError, match=r"NextItem: visits: got shape .* of at most 4 items, 0 to 6"):
        made()(visits)
