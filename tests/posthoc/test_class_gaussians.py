"""Class Gaussians: outliers that go, what small classes borrow, and samples that have the moments."""

import numpy as np
import pytest

from mini_repr.posthoc.class_gaussians import ClassGaussians, local_outlier_factor


def two_classes(seed=0, counts=(200, 200), width=3, apart=4.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(labels), width)) + apart * labels[:, None], labels


def factors_by_loops(z, k):
    """Definitions 5 to 7, row by row."""
    n = len(z)
    d = [[float(np.sqrt(((a - b) ** 2).sum())) for b in z] for a in z]
    near = [sorted((j for j in range(n) if j != i), key=lambda j, i=i: d[i][j])[:k] for i in range(n)]
    lrd = [k / sum(max(d[j][near[j][-1]], d[i][j]) for j in near[i]) for i in range(n)]
    return [sum(lrd[j] for j in near[i]) / k / lrd[i] for i in range(n)]


@pytest.mark.parametrize("k", [1, 3, 8])
def test_factors_equal_loops_and_scikit_learn(k):
    z = np.random.default_rng(k).normal(size=(40, 3))
    found = local_outlier_factor(z, k)
    np.testing.assert_allclose(found, factors_by_loops(z, k), rtol=1e-9)
    np.testing.assert_allclose(local_outlier_factor(100 * z, k), found, rtol=1e-9)
    neighbors = pytest.importorskip("sklearn.neighbors")
    theirs = -neighbors.LocalOutlierFactor(n_neighbors=k).fit(z).negative_outlier_factor_
    np.testing.assert_allclose(found, theirs, rtol=1e-6)


def test_factors_of_a_ring_an_outlier_few_rows_and_copies():
    angles = np.arange(24) * 2 * np.pi / 24
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(local_outlier_factor(ring, 4), 1, rtol=1e-9)
    assert local_outlier_factor(np.concatenate([ring, [[5.0, 5.0]]]), 4).argmax() == 24
    np.testing.assert_array_equal(local_outlier_factor(np.ones((1, 2)), 4), [1])
    np.testing.assert_allclose(local_outlier_factor(np.ones((6, 2)), 3), 1)


def test_clean_and_balanced_classes_are_left_as_they_are():
    z, labels = two_classes()
    made = ClassGaussians(outliers=0.0).fit(z, labels)
    assert made.kept_.all()
    for c in (0, 1):
        np.testing.assert_allclose(made.means_[c], z[labels == c].mean(axis=0))
        np.testing.assert_allclose(made.covariances_[c], np.cov(z[labels == c].T, ddof=0))


def test_samples_have_the_moments_and_are_balanced():
    z, labels = two_classes(counts=(300, 40))
    made = ClassGaussians(4000, seed=1)
    drawn, drawn_labels = made.fit_resample(z, labels)
    assert drawn.shape == (8000, 3) and np.bincount(drawn_labels).tolist() == [4000, 4000]
    for c in (0, 1):
        np.testing.assert_allclose(drawn[drawn_labels == c].mean(axis=0), made.means_[c], atol=0.1)
        np.testing.assert_allclose(np.cov(drawn[drawn_labels == c].T), made.covariances_[c], atol=0.15)
    assert (np.linalg.eigvalsh(made.covariances_) >= -1e-12).all()
    np.testing.assert_array_equal(made.fit_resample(z, labels).z, drawn)


def test_wrong_labels_are_what_goes():
    z, labels = two_classes(apart=6.0)
    noisy = np.where(np.arange(400) % 5 == 0, 1 - labels, labels)
    made = ClassGaussians(outliers=0.25, neighbours=60).fit(z, noisy)
    wrong = noisy != labels
    assert (~made.kept_[wrong]).mean() > 0.9 and made.kept_[~wrong].mean() > 0.9


def test_a_small_class_borrows_from_the_nearest_large_ones():
    z, labels = two_classes(counts=(100, 50, 100, 8), apart=10.0)
    settings = {"outliers": 0.0, "borrowed_mean": 0.2, "borrowed_covariance": 0.6}
    alone, made = ClassGaussians(heads=0, **settings).fit(z, labels), ClassGaussians(heads=2, **settings).fit(z, labels)
    np.testing.assert_array_equal(made.means_[[0, 2]], alone.means_[[0, 2]])
    # Class 3 borrows from 2, the nearer, and 0; class 1 is below the mean size too.
    weights = np.array([100 / ((alone.means_[c] - alone.means_[3]) ** 2).sum() for c in (2, 0)])
    weights /= weights.sum()
    expected = 0.8 * alone.means_[3] + 0.2 * weights @ alone.means_[[2, 0]]
    np.testing.assert_allclose(made.means_[3], expected)
    borrowed = np.tensordot(weights, alone.covariances_[[2, 0]], 1)
    np.testing.assert_allclose(made.covariances_[3], 0.4 * alone.covariances_[3] + 0.6 * borrowed)


def test_a_class_of_one_row_has_only_what_it_borrows():
    z, labels = two_classes(counts=(60, 1))
    made = ClassGaussians(heads=1, borrowed_mean=0.0).fit(z, labels)
    np.testing.assert_array_equal(made.means_[1], z[-1])
    np.testing.assert_allclose(made.covariances_[1], made.covariances_[0])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda z, y: ClassGaussians(0).fit(z, y), "per_class: got 0"),
        (lambda z, y: ClassGaussians(outliers=1.0).fit(z, y), "outliers: got 1"),
        (lambda z, y: ClassGaussians().fit(z.tolist(), y), "class_gaussians: z: got list"),
        (lambda z, y: ClassGaussians().fit(z, y * 0), "class_gaussians: labels: got one class"),
        (lambda z, y: ClassGaussians().sample(3, np.random.default_rng(0)), "got rows before fit"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(*two_classes())
