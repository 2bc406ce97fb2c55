"""One mechanism: weighted sums of losses, of leading columns, and of rows."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.methods.objective import Objective, leading_columns
from mini_repr.optim import REWEIGHTINGS
from mini_repr.pages.registry import all_losses

LOSSES = all_losses()
RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((2, 8, 6))


def settings_of(name):
    return {p.name: p.default for p in LOSSES[name].settings}


def objective(name="infonce", **parts):
    return Objective(LOSSES[name], settings_of(name), **parts)


def test_matryoshka_is_the_mean_over_leading_columns():
    a = Tensor(A, requires_grad=True)
    total = objective(matryoshka=(2, 6))(a, B)
    total.backward()
    first, second = (LOSSES["infonce"].value_and_grad(A[:, :d].copy(), B[:, :d].copy()) for d in (2, 6))
    assert float(total.data) == pytest.approx((first[0] + second[0]) / 2, rel=1e-12)
    expected = second[1]["a"] / 2
    expected[:, :2] += first[1]["a"] / 2
    np.testing.assert_allclose(a.grad, expected, atol=1e-12)
    assert set(total.terms) == {"infonce[:2]", "infonce[:6]"}


def test_leading_columns_cut_every_axis_of_the_rows_letter():
    cut = leading_columns(LOSSES["tico"], {"a": A, "b": B, "covariance": np.eye(6)}, 4)
    assert cut["a"].shape == (8, 4) and cut["covariance"].shape == (4, 4)


def test_row_weights_weigh_rows_and_equal_ones_change_nothing():
    rows = LOSSES["infonce"](A, B, reduction="none").data
    weights = RNG.random(8)
    assert float(objective()(A, B, row_weights=weights).data) == pytest.approx((rows * weights).mean(), rel=1e-12)
    assert float(objective()(A, B, row_weights=np.ones(8)).data) == pytest.approx(rows.mean(), rel=1e-12)


def test_reweighting_starts_uniform_then_follows_the_losses():
    weighed = objective(reweight="linupper")
    rows = LOSSES["infonce"](A, B, reduction="none").data
    assert float(weighed(A, B).data) == pytest.approx(rows.mean(), rel=1e-12)
    expected = (rows * REWEIGHTINGS["linupper"](rows, 0.4)).mean()
    assert float(weighed(A, B, progress=0.5).data) == pytest.approx(expected, rel=1e-12)


def test_a_loss_of_the_same_arrays_can_be_added():
    added = [(LOSSES["vicreg"], 0.1, {}), (LOSSES["uniformity"], 0.5, {})]
    total = objective(added=added)(A, B, embeddings=(A, B))
    parts = [LOSSES["infonce"](A, B), LOSSES["vicreg"](A, B) * 0.1]
    parts += [LOSSES["uniformity"](z) * 0.25 for z in (A, B)]
    assert float(total.data) == pytest.approx(sum(float(p.data) for p in parts), rel=1e-12)


def test_a_loss_of_pairs_joins_a_loss_of_labels_on_its_two_views():
    labels = np.arange(8) % 3
    rows, twice = np.concatenate([A, B]), np.concatenate([labels, labels])
    added = [(LOSSES["infonce"], 0.5, {})]
    total = objective("supcon", added=added, with_labels=True)(rows, twice, embeddings=(A, B))
    expected = LOSSES["supcon"](rows, twice).data + 0.5 * LOSSES["infonce"](A, B).data
    assert float(total.data) == pytest.approx(float(expected), rel=1e-12)
    assert set(total.terms) == {"supcon", "infonce"}


def test_more_leading_columns_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="got 7 columns, expected at most the 6"):
        objective(matryoshka=(2, 7))(A, B)
