"""Token pooling: clusters by hand and by loops, what never rises, gradients, the encoder that uses it."""

import numpy as np
import pytest

from mini_repr.autograd import gradcheck
from mini_repr.data import load
from mini_repr.methods import build_method
from mini_repr.nn import ViT
from mini_repr.tokens import PooledViT, pool_tokens, significance
from mini_repr.training import config

TOKENS = np.random.default_rng(0).standard_normal((3, 12, 4))
WEIGHTS = np.random.default_rng(1).random((3, 12))


def pooled(method, count=4, tokens=TOKENS, weights=WEIGHTS, **more):
    return pool_tokens.on_arrays(tokens, weights, count, method, **more)


def error(tokens, weights, centres, member):
    return sum(w * ((f - centres[k]) ** 2).sum() for f, w, k in zip(tokens, weights, member, strict=True))


def loops(tokens, weights, count, method, rounds):
    """One image, in lists."""
    order = sorted(range(len(tokens)), key=lambda i: (-weights[i], i))[:count]
    centres = [tokens[i] for i in order]

    def nearest(f):
        return min(range(count), key=lambda k: ((f - centres[k]) ** 2).sum())

    for _ in range(rounds):
        member = [nearest(f) for f in tokens]
        for k in range(count):
            own = [i for i, m in enumerate(member) if m == k]
            if not own:
                continue
            if method == "means":
                centres[k] = sum(weights[i] * tokens[i] for i in own) / sum(weights[i] for i in own)
            else:
                best = min(own, key=lambda m: sum(weights[j] * ((tokens[j] - tokens[m]) ** 2).sum() for j in own))
                centres[k] = tokens[best]
    return np.stack(centres), [nearest(f) for f in tokens]


@pytest.mark.parametrize("method", ["medoids", "means", "top"])
def test_equals_loops(method):
    (centres, member), _ = pooled(method)
    for b in range(3):
        expected, belongs = loops(TOKENS[b], WEIGHTS[b], 4, method, 0 if method == "top" else 5)
        np.testing.assert_allclose(centres[b], expected)
        np.testing.assert_array_equal(member[b], belongs)


@pytest.mark.parametrize("method", ["medoids", "means"])
def test_rounds_never_raise_the_weighted_error(method):
    errors = np.empty((6, 3))
    for rounds in range(6):
        (centres, member), _ = pooled(method, rounds=rounds)
        errors[rounds] = [error(TOKENS[b], WEIGHTS[b], centres[b], member[b]) for b in range(3)]
    assert (np.diff(errors, axis=0) <= 1e-12).all() and errors[-1].sum() < errors[0].sum()


def test_as_many_centres_as_tokens_are_the_tokens_and_repeated_tokens_cost_nothing():
    (centres, member), _ = pooled("medoids", count=12)
    np.testing.assert_array_equal(centres, TOKENS)
    np.testing.assert_array_equal(member, np.tile(np.arange(12), (3, 1)))
    twice = TOKENS[:, [0, 1, 2, 0, 1, 2]]
    weights = np.array([[3.0, 2.0, 1.0, 0.1, 0.1, 0.1]] * 3)
    for method in ("medoids", "means", "top"):
        (centres, member), _ = pooled(method, count=3, tokens=twice, weights=weights)
        assert error(twice[0], weights[0], centres[0], member[0]) == pytest.approx(0, abs=1e-24)


def test_whole_weights_are_repeated_tokens():
    weights = np.array([[1.0, 2.0, 3.0, 1.0, 2.0, 1.0]])
    tokens = TOKENS[:1, :6]
    repeated = tokens[:, np.repeat(np.arange(6), weights[0].astype(int))]
    start = np.argsort(-weights[0], kind="stable")[:3]
    (centres, _), _ = pooled("means", count=3, tokens=tokens, weights=weights)
    ones = np.full((1, repeated.shape[1]), 1.0)
    ones[0, [np.repeat(np.arange(6), weights[0].astype(int)).tolist().index(i) for i in start]] = 1 + 1e-9
    (again, _), _ = pooled("means", count=3, tokens=repeated, weights=ones)
    np.testing.assert_allclose(np.sort(centres, axis=1), np.sort(again, axis=1), atol=1e-6)


def test_medoids_are_tokens_and_order_is_only_order():
    (centres, member), _ = pooled("medoids")
    assert all((TOKENS[b] == c).all(axis=1).any() for b in range(3) for c in centres[b])
    order = np.random.default_rng(2).permutation(12)
    (moved, other), _ = pooled("medoids", tokens=TOKENS[:, order], weights=WEIGHTS[:, order])
    np.testing.assert_allclose(moved, centres)
    np.testing.assert_array_equal(other, member[:, order])


@pytest.mark.parametrize("method, rounds", [("medoids", 5), ("means", 5), ("means", 0), ("top", 5)])
def test_gradient(method, rounds):
    g = np.random.default_rng(3).standard_normal((3, 4, 4))
    _, backward = pooled(method, rounds=rounds)

    def weighted(tokens):
        return (g * pooled(method, tokens=tokens, rounds=rounds)[0][0]).sum()

    gradient = backward((g, None))
    gradient = gradient if isinstance(gradient, tuple) else (gradient,)
    gradcheck(weighted, [TOKENS], gradient, np.random.default_rng(4), step=1e-6, tolerance=1e-6)


@pytest.mark.parametrize("count, method", [(0, "means"), (3, "median")])
def test_what_does_not_fit_is_refused(count, method):
    with pytest.raises(ValueError, match=r"^pool_tokens: count"):
        pooled(method, count=count)


def test_encoder_has_fewer_tokens_from_block_to_block():
    images = np.random.default_rng(0).random((5, 1, 8, 8)).astype(np.float32)
    encoder = PooledViT((1, 8, 8), np.random.default_rng(0), width=16, depth=3, keep=0.5)
    assert encoder.counts() == [16, 8, 4]
    encoded = encoder(images, layers=(1, 2, 3), attention=True)
    assert [x.shape[1] for x in encoded.layers] == [16, 8, 4] and encoded.tokens.shape == (5, 4, 16)
    assert [w.shape[-1] for w in encoded.attention] == [17, 9, 5]
    whole = PooledViT((1, 8, 8), np.random.default_rng(0), width=16, depth=3, keep=1.0)
    plain = ViT((1, 8, 8), np.random.default_rng(0), width=16, depth=3)
    np.testing.assert_allclose(whole(images).pooled.data, plain(images).pooled.data, atol=1e-6)
    received = significance(plain(images, attention=True).attention[0])
    np.testing.assert_allclose(received.sum(axis=1), 4 * 17, rtol=1e-5)


@pytest.mark.parametrize("loss", ["masked_regression", "patch_order", "best_alignment"])
def test_methods_that_hide_patches_refuse_it_in_a_line(loss):
    chosen = {"loss": {"name": loss}, "encoder": {"name": "pooled_vit"}, "method": {"views": ""}}
    with pytest.raises(ValueError, match=r"patches.*, expected --encoder vit"):
        build_method(config.resolve(chosen), load("digits"), np.random.default_rng(0))
