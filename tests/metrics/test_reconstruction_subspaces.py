import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.metrics.linear_probe import linear_probe
from mini_repr.metrics.reconstruction_subspaces import (
    alignment_curve,
    reconstruction_alignment,
    reconstruction_codes,
    subspace_probe,
    variance_subspace,
)


def made(variances, signal, n=400, seed=0):
    """Rows with exactly these variances along the axes; the label is the sign of axis ``signal``."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, len(variances)))
    z -= z.mean(axis=0)
    z = np.linalg.qr(z)[0] * np.sqrt(n * np.array(variances))
    return z, (z[:, signal] > 0).astype(int)


def loss_of(codes, clean, noisy, k):
    """Squared error of the least-squares decoder of the first k codes, over enumerated noise."""
    code = noisy @ codes[:, :k]
    decoder = np.linalg.lstsq(code, clean, rcond=None)[0]
    return ((code @ decoder - clean) ** 2).sum()


def test_subspaces_of_known_variances():
    z, _ = made([4.0, 3.0, 2.0, 1.0], 0)
    mean, top = variance_subspace(z + 5, 0.7, "top")
    np.testing.assert_allclose(mean, 5)
    np.testing.assert_allclose(top @ top.T, np.diag([1, 1, 0, 0]), atol=1e-10)
    _, bottom = variance_subspace(z, 0.3, "bottom")
    np.testing.assert_allclose(bottom @ bottom.T, np.diag([0, 0, 1, 1]), atol=1e-10)
    assert variance_subspace(z, 0.71, "top")[1].shape[1] == 3
    assert variance_subspace(z, 0.29, "bottom")[1].shape[1] == 1
    assert variance_subspace(z, 1.0, "top")[1].shape[1] == variance_subspace(z, 1.0, "bottom")[1].shape[1] == 4


@pytest.mark.parametrize("signal, better", [(0, "top"), (3, "bottom")])
def test_accuracy_follows_the_subspace_that_holds_the_signal(signal, better):
    z, labels = made([4.0, 3.0, 2.0, 1.0], signal)
    split = z[:300], labels[:300], z[300:], labels[300:]
    scores = {part: subspace_probe(*split, share, part) for part, share in (("top", 0.75), ("bottom", 0.25))}
    assert scores[better] > 0.95
    assert min(scores.values()) < 0.65
    assert subspace_probe(*split, 1.0) == pytest.approx(linear_probe(*split), abs=0.02)


@pytest.mark.parametrize("signal", [0, 2, 4])
def test_alignment_jumps_where_the_signal_lies(signal):
    z, labels = made([5.0, 4.0, 3.0, 2.0, 1.0], signal)
    curve = alignment_curve(z, labels)
    assert (np.diff(curve) > -1e-12).all() and curve[-1] == pytest.approx(1)
    jumps = np.diff(np.concatenate([[0], curve]))
    assert jumps.argmax() == signal and jumps.max() > 0.9
    assert reconstruction_alignment(z, labels, signal + 1) == pytest.approx(curve[signal])
    assert reconstruction_alignment(z, labels, 99) == pytest.approx(1)


def test_alignment_is_what_least_squares_explains():
    z, labels = made([5.0, 4.0, 3.0, 2.0, 1.0], 2)
    z = z @ np.random.default_rng(1).standard_normal((5, 5)) + 3
    targets = np.eye(2)[labels] - np.eye(2)[labels].mean(axis=0)

    def explained(x):
        x = x - x.mean(axis=0)
        fitted = x @ np.linalg.lstsq(x, targets, rcond=None)[0]
        return (fitted**2).sum()

    codes = reconstruction_codes(z)
    curve = alignment_curve(z, labels)
    for k in range(1, 6):
        assert curve[k - 1] == pytest.approx(explained(z @ codes[:, :k]) / explained(z), rel=1e-9)


def test_additive_noise_changes_no_code():
    """B = C + s² I has the eigenvectors of C and keeps their order: λ²/(λ + s²) grows with λ."""
    z, labels = made([5.0, 4.0, 3.0, 2.0, 1.0], 3)
    z = z @ np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    plain = alignment_curve(z, labels)
    for strength in (0.1, 1.0, 10.0):
        np.testing.assert_allclose(alignment_curve(z, labels, "additive", strength), plain, atol=1e-9)


def test_no_masking_is_no_noise():
    z, labels = made([5.0, 4.0, 3.0, 2.0, 1.0], 3)
    np.testing.assert_allclose(alignment_curve(z, labels, "masking", 0.0), alignment_curve(z, labels), atol=1e-9)


def test_masking_prefers_what_columns_share():
    """Three equal columns hold less variance than one column alone, yet survive a mask: they come first with it."""
    rng = np.random.default_rng(2)
    shared, alone = np.linalg.qr(rng.standard_normal((500, 2)))[0].T * np.sqrt(500)
    z = np.stack([shared, shared, shared, 2 * alone], axis=1)
    labels = (shared > 0).astype(int)
    assert reconstruction_alignment(z, labels, 1) < 0.1
    assert reconstruction_alignment(z, labels, 1, "masking", 0.6) > 0.9
    whole = np.array([0, 0, 0, 1])  # masked together, sharing is no help
    assert reconstruction_alignment(z, labels, 1, "masking", 0.6, whole) < 0.1


@pytest.mark.parametrize("patches", [None, np.array([0, 0, 1, 2])])
def test_masking_codes_are_optimal_among_linear_ones(patches):
    """All masks enumerated with their chances: no other directions rebuild better."""
    rng = np.random.default_rng(3)
    z = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 4))
    z -= z.mean(axis=0)
    p, groups = 0.3, np.arange(4) if patches is None else patches
    count = groups.max() + 1
    clean, noisy = [], []
    for bits in range(2**count):
        seen = np.array([bits >> g & 1 for g in groups])
        hidden = count - bin(bits).count("1")
        weight = np.sqrt(p**hidden * (1 - p) ** (count - hidden))
        clean.append(weight * z)
        noisy.append(weight * z * seen)
    clean, noisy = np.concatenate(clean), np.concatenate(noisy)
    codes = reconstruction_codes(z, "masking", p, patches)
    for k in (1, 2, 3):
        best = loss_of(codes, clean, noisy, k)
        assert best < loss_of(reconstruction_codes(z), clean, noisy, k)
        for _ in range(20):
            assert best < loss_of(codes + 0.05 * rng.standard_normal(codes.shape), clean, noisy, k)


def test_constant_columns_and_the_device_do_not_matter():
    z, labels = made([5.0, 4.0, 3.0], 1)
    wide = np.concatenate([z, np.full((len(z), 2), 7.0)], axis=1)
    for noise, strength in (("none", 0.0), ("masking", 0.5), ("additive", 1.0)):
        curve = alignment_curve(z, labels, noise, strength)
        np.testing.assert_allclose(alignment_curve(wide, labels, noise, strength), curve, atol=1e-9)
    on_device = reconstruction_alignment(DOUBLE.asarray(z), DOUBLE.asarray(labels), 2)
    assert type(on_device) is float
    split = z[:300], labels[:300], z[300:], labels[300:]
    assert subspace_probe(*map(DOUBLE.asarray, split)) == subspace_probe(*split)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda z, y: variance_subspace(z, 0.0),
            r"variance_subspace: share: got 0, expected a number \(> 0 and <= 1\)",
        ),
        (
            lambda z, y: variance_subspace(z, 0.5, "middle"),
            "variance_subspace: part: got 'middle', expected one of top, bottom",
        ),
        (lambda z, y: variance_subspace(z * 0), "variance_subspace: z: got rows that are all the same"),
        (
            lambda z, y: variance_subspace(z, 1e-9, "bottom"),
            "variance_subspace: share: got 1e-09, expected one that holds a direction",
        ),
        (lambda z, y: reconstruction_codes(z * 0), "reconstruction_codes: z: got rows that are all the same"),
        (lambda z, y: reconstruction_codes(z, "fog"), "noise: got 'fog', expected one of none, additive, masking"),
        (lambda z, y: reconstruction_codes(z, "masking", 1.0), "strength: got 1, expected below 1"),
        (
            lambda z, y: reconstruction_codes(z, "masking", 0.5, [0, 1]),
            "patches: got list, expected integer labels of shape",
        ),
        (lambda z, y: alignment_curve(z, y * 1.0), "labels: got dtype float64, expected integers"),
        (lambda z, y: alignment_curve(z, y * 0), "labels: got classes that no linear function of z tells apart"),
        (lambda z, y: reconstruction_alignment(z, y, 0), "dimensions: got 0, expected a whole number from 1"),
        (
            lambda z, y: subspace_probe(z, y, z[:, :2], y),
            r"subspace_probe: test_z: got shape \(400, 2\), expected shape \(M, D=3 as in train_z\)",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(*made([3.0, 2.0, 1.0], 0))
