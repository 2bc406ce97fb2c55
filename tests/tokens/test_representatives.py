"""Tokens that stand for others: who is kept, who takes from whom, and what a denoiser makes of it."""

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.nn import Denoiser
from mini_repr.tokens.representatives import representatives

TOKENS = np.random.default_rng(0).standard_normal((3, 16, 5))


def loops(x, side, gone, window):
    """(keep, taken): of one image's tokens, without noise."""
    count = len(x)

    def cosine(i, j):
        return float(x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]))

    base = []
    for top in range(0, side - window + 1, window):
        for left in range(0, side - window + 1, window):
            inside = [(top + i) * side + left + j for i in range(window) for j in range(window)]
            base.append(max(inside, key=lambda i: sum(cosine(i, j) for j in range(count))))
    best = {i: max(base, key=lambda b, i=i: cosine(i, b)) for i in range(count) if i not in base}
    out = sorted(best, key=lambda i: -cosine(i, best[i]))[:gone]
    keep = [i for i in range(count) if i not in out]
    return keep, [best[i] if i in out else i for i in range(count)]


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_equals_loops(ratio):
    keep, source = representatives((4, 4), ratio=ratio, noise=0.0)(TOKENS)
    assert keep.shape == (3, 16 - round(16 * ratio))
    for x, kept, takes in zip(TOKENS, keep, source, strict=True):
        expected, taken = loops(x, 4, round(16 * ratio), 2)
        assert kept.tolist() == expected and kept[takes].tolist() == taken


def test_rows_beyond_the_last_window_may_go_and_stand_for_nothing():
    tokens = np.random.default_rng(1).standard_normal((1, 25, 3))
    (keep,), (source,) = representatives((5, 5), ratio=0.8, noise=0.0)(tokens)
    expected, taken = loops(tokens[0], 5, 20, 2)
    assert keep.tolist() == expected and keep[source].tolist() == taken


def test_the_noise_chooses_among_equal_tokens_and_copies_are_rebuilt_exactly():
    corners = np.random.default_rng(2).standard_normal((2, 2, 5))
    tokens = corners.repeat(2, axis=0).repeat(2, axis=1).reshape(1, 16, 5)
    chosen = set()
    for seed in range(5):
        keep, source = representatives((4, 4), noise=1.0, rng=np.random.default_rng(seed))(tokens)
        chosen.add(tuple(keep[0]))
        np.testing.assert_array_equal(tokens[0, keep[0]][source[0]], tokens[0])
    assert len(chosen) > 1


def test_a_denoiser_says_the_same_where_none_goes_and_where_the_rest_are_copies():
    denoiser = Denoiser((1, 8, 8), np.random.default_rng(0), np.float64, patch=2, width=16, depth=2, heads=2)
    rng = np.random.default_rng(1)
    for parameter in denoiser.parameters():
        parameter.data += 0.3 * rng.standard_normal(parameter.shape)
    x, times = rng.standard_normal((2, 1, 8, 8)), np.array([0.3, 0.8])

    def said(prune, x=x):
        return denoiser.denoise(x, times, prune=prune)

    plain = said(None)
    np.testing.assert_allclose(said(representatives((4, 4), ratio=0)).patches.data, plain.patches.data, rtol=1e-12)
    pruned = said(representatives((4, 4)))
    assert [own.shape for own in plain.own] == [(2, 2, 16, 16)] * 2
    assert [own.shape for own in pruned.own] == [(2, 2, 8, 8)] * 2  # a quarter of the products
    assert np.abs(pruned.patches.data - plain.patches.data).max() > 1e-3
    pruned.patches.sum().backward()
    assert np.abs(denoiser.positions.grad).min() > 0
    # Of tokens that are all alike, half may go: attention over copies is attention over fewer of them.
    denoiser.positions.data[:] = 0.1
    flat = np.ones_like(x)
    np.testing.assert_allclose(
        said(representatives((4, 4)), flat).patches.data, said(None, flat).patches.data, rtol=1e-10
    )


def test_on_a_device_the_same_tokens_stay():
    here, there = (representatives((4, 4))(tokens) for tokens in (TOKENS, DOUBLE.asarray(TOKENS)))
    for mine, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(DOUBLE.to_numpy(theirs), mine)


def test_misuse_is_one_clear_line():
    with pytest.raises(ValueError, match=r"representatives: ratio: got 0.8, expected 0 to 0.75: each of 4 windows"):
        representatives((4, 4), ratio=0.8)
    with pytest.raises(ValueError, match=r"representatives: tokens: got 9, expected 4 x 4"):
        representatives((4, 4))(np.ones((1, 9, 2)))
