"""Forgetting by weighted losses: the weights, what they do to ascent, and the scores."""

from copy import deepcopy

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import MLP
from mini_repr.posthoc.unlearning.loreun import forgetting_weights, saliency_mask, unlearn
from mini_repr.posthoc.unlearning.scores import average_gap, best_threshold, outputs, unlearning_scores

RNG = np.random.default_rng(0)
CENTRES = 3 * RNG.normal(size=(4, 6))
LABELS = np.arange(120) % 4
X = (CENTRES[LABELS] + RNG.normal(size=(120, 6))).astype(np.float32)
PARTS = (X[:30], LABELS[:30], X[30:], LABELS[30:])


def fresh():
    return MLP((6, 16, 4), np.random.default_rng(1))


def trained():
    """A network that knows its rows: the retain rows of a forgetting without forgetting."""
    return unlearn(fresh(), PARTS[0], PARTS[1], X, LABELS, alpha=0.0, lr=1e-2, epochs=20)


def state(net):
    return net.state_dict()


def test_weights_have_mean_1_and_ignore_a_constant():
    losses = RNG.exponential(size=9)
    w = forgetting_weights(losses, 0.7)
    assert w.mean() == pytest.approx(1) and (np.diff(w[np.argsort(losses)]) < 0).all()
    np.testing.assert_allclose(forgetting_weights(losses + 5, 0.7), w)
    np.testing.assert_allclose(w / w[0], np.exp(-(losses - losses[0]) / 0.7))
    np.testing.assert_allclose(forgetting_weights(losses, 1e9), 1, atol=1e-6)
    assert forgetting_weights(losses, 1e-6)[losses.argmin()] == pytest.approx(9)


@pytest.mark.parametrize("base", ["ascent", "random_labels"])
@pytest.mark.parametrize("weighting", ["static", "dynamic"])
def test_a_large_tau_is_the_base_method(base, weighting):
    settings = {"base": base, "epochs": 2, "seed": 3}
    plain = unlearn(fresh(), *PARTS, weighting="none", **settings)
    weighted = unlearn(fresh(), *PARTS, weighting=weighting, tau=1e12, **settings)
    for name, value in state(plain).items():
        np.testing.assert_allclose(state(weighted)[name], value, atol=1e-6)
    small = unlearn(fresh(), *PARTS, weighting=weighting, tau=0.1, **settings)
    assert any(np.abs(state(small)[n] - v).max() > 1e-4 for n, v in state(plain).items())


def test_forgetting_forgets_and_dynamic_weights_bound_ascent():
    net = trained()
    assert outputs(net, X[:30], LABELS[:30])[1].mean() < 0.1
    losses = {}
    for weighting in ("none", "dynamic"):
        gone = unlearn(deepcopy(net), *PARTS, weighting=weighting, tau=0.3, alpha=3.0, lr=1e-2, epochs=25)
        losses[weighting] = outputs(gone, X[:30], LABELS[:30])[1]
    assert losses["none"].max() > 2 * losses["dynamic"].max()
    assert losses["dynamic"].mean() > 1
    random = unlearn(deepcopy(net), *PARTS, base="random_labels", alpha=1.0, lr=1e-2, epochs=25)
    assert (outputs(random, X[:30], LABELS[:30])[0].argmax(axis=1) != LABELS[:30]).mean() > 0.3
    assert outputs(net, X[:30], LABELS[:30])[1].mean() < 0.1, "the copy was changed alone"


def test_the_least_loss_is_forgotten_first():
    """With a small tau in one batch, all of the gradient is that of the row that is known best."""
    net = trained()
    known = outputs(net, X[:30], LABELS[:30])[1]
    gone = unlearn(deepcopy(net), *PARTS, weighting="static", tau=1e-3, alpha=100.0, lr=1e-3, epochs=1, batch_size=90)
    change = outputs(gone, X[:30], LABELS[:30])[1] - known
    assert known.argmin() in np.flatnonzero(change > 0)


def test_a_mask_frees_the_weights_of_the_largest_gradients_and_no_other_moves():
    net = trained()
    free = saliency_mask(net, *PARTS[:2], 0.25)
    net.zero_grad()
    cross_entropy(net(Tensor(PARTS[0])), PARTS[1]).backward()
    sizes = {name: np.abs(p.grad) for name, p in net.named_parameters().items()}
    count = sum(mask.sum() for mask in free.values())
    assert count == sum(mask.size for mask in free.values()) // 4
    assert min(sizes[n][m].min() for n, m in free.items() if m.any()) >= max(
        sizes[n][~m].max() for n, m in free.items()
    )
    before = state(net)
    moved = state(unlearn(deepcopy(net), *PARTS, base="random_labels", weighting="none", moving=0.25, epochs=2))
    changed = {name: moved[name] != before[name] for name in moved}
    assert not any((changed[name] & ~free[name]).any() for name in moved)
    assert sum(c.sum() for c in changed.values()) > 0.9 * count
    whole = state(unlearn(deepcopy(net), *PARTS, base="random_labels", weighting="none", epochs=2))
    assert all((whole[name] != before[name]).any() for name in moved)


def test_scores_by_hand():
    class Table:
        def eval(self):
            return self

        def __call__(self, x):
            return x

    right, wrong = [5.0, 0.0], [0.0, 5.0]
    labels = np.zeros(4, int)
    retain = np.array([right, right, right, wrong])
    forget = np.array([right, wrong, wrong, wrong])
    test = np.array([right, right, wrong, wrong])
    found = unlearning_scores(Table(), (forget, labels), (retain, labels), (test, labels))
    assert found == (75.0, 75.0, 50.0, 75.0)
    assert average_gap(found, (70.0, 80.0, 50.0, 65.0)) == pytest.approx(5)
    assert best_threshold(np.array([0.1, 0.2, 0.9]), np.array([0.3, 0.4, 1.0])) == 0.2


def test_mistakes_are_named():
    net = fresh()
    with pytest.raises(ValueError, match="unlearn: tau: got 0, expected a number"):
        unlearn(net, *PARTS, tau=0)
    with pytest.raises(ValueError, match="unlearn: forget_labels: got shape"):
        unlearn(net, PARTS[0], PARTS[1][:-1], *PARTS[2:])
    with pytest.raises(ValueError, match="unlearn: base: got 'forget', expected one of ascent, random_labels"):
        unlearn(net, *PARTS, base="forget")
    with pytest.raises(ValueError, match="unlearn: moving: got 0"):
        unlearn(net, *PARTS, moving=0.0)
