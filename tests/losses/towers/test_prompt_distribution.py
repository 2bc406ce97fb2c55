"""What prompt_distribution alone promises: naive loops, the bound it is, and what does not change it."""

import math

import numpy as np
import pytest

from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.towers.prompt_distribution import prompt_distribution

RNG = np.random.default_rng(0)
IMAGE, TEXT, LABELS = RNG.standard_normal((3, 5)), RNG.standard_normal((4, 6, 5)), np.array([0, 3, 1])


def unit(x):
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(norm > 0, norm, 1)


def loops(image, text, labels, scale, covariance, divisor):
    z, w = unit(image), unit(text)
    classes, prompts, width = text.shape
    count = max(prompts + {"N": 0, "N-1": -1, "N+1": 1}[divisor], 1)
    total = 0.0
    for row, y in zip(z, labels, strict=True):
        logits = []
        for k in range(classes):
            mean = [w[k, :, i].sum() / prompts for i in range(width)]
            right = [w[y, :, i].sum() / prompts for i in range(width)]
            variance = 0.0
            for n in range(prompts):
                moved = [row[i] * ((w[y, n, i] - right[i]) - (w[k, n, i] - mean[i])) for i in range(width)]
                variance += sum(moved) ** 2 if covariance == "full" else sum(m * m for m in moved)
            logits.append(scale * sum(row * mean) + scale**2 / 2 * variance / count)
        top = max(logits)
        total += math.log(sum(math.exp(v - top) for v in logits)) + top - logits[y]
    return float(total / len(z))


def test_it_bounds_the_expected_cross_entropy_of_gaussian_class_rows():
    """Draws m + sum_n x_n d_n / sqrt N, x normal and shared by the classes, have these means and covariances."""
    z, w = unit(IMAGE), unit(TEXT)
    mean = w.mean(axis=1)
    d = w - mean[:, None]
    drawn = np.einsum("sn,knd->skd", np.random.default_rng(1).standard_normal((20_000, 6)), d) / math.sqrt(6)
    for scale in (1.0, 3.0, 8.0):
        logits = scale * np.einsum("bd,skd->sbk", z, mean + drawn)
        own = np.take_along_axis(logits, LABELS[None, :, None], axis=2)
        expected = np.log(np.exp(logits - own).sum(axis=2)).mean()
        bound = float(prompt_distribution(IMAGE, TEXT, LABELS, scale).data)
        mean_alone = float(cross_entropy(scale * z @ mean.T, LABELS).data)
        assert mean_alone < expected < bound, scale


def test_one_prompt_or_equal_ones_are_the_cross_entropy_of_cosines():
    expected = float(cross_entropy(20 * unit(IMAGE) @ unit(TEXT[:, 0]).T, LABELS).data)
    for text in (TEXT[:, :1], np.repeat(TEXT[:, :1], 3, axis=1)):
        for covariance in ("full", "diagonal"):
            found = float(prompt_distribution(IMAGE, text, LABELS, covariance=covariance).data)
            assert found == pytest.approx(expected, rel=1e-10)


def test_the_two_covariances_are_one_in_one_dimension():
    image, text = IMAGE[:, :1], TEXT[:, :, :1]
    full, diagonal = (float(prompt_distribution(image, text, LABELS, covariance=c).data) for c in ("full", "diagonal"))
    assert full == pytest.approx(diagonal, rel=1e-12)


def test_public_code_s_form_gives_the_same_number():
    """Sigma_kk + Sigma_yy - 2 Sigma_ky of each dimension over N + 1, as the re-implementations compute it."""
    z, w = unit(IMAGE), unit(TEXT)
    d = w - w.mean(axis=1, keepdims=True)
    sigma = np.einsum("ind,knd->dik", d, d) / (TEXT.shape[1] + 1)
    of_images = np.einsum("bd,dik->bik", z**2, sigma)
    rows, classes = np.arange(len(z)), np.arange(len(w))
    variance = of_images[rows, LABELS, LABELS][:, None] + of_images[:, classes, classes] - 2 * of_images[rows, LABELS]
    expected = cross_entropy(20 * z @ w.mean(axis=1).T + 200 * variance, LABELS).data
    found = prompt_distribution(IMAGE, TEXT, LABELS, **prompt_distribution.variants["public_code"].settings)
    np.testing.assert_allclose(found.data, expected, rtol=1e-10)
