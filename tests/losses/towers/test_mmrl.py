"""What mmrl alone promises: naive loops, and what reaches which rows."""

import math

import numpy as np
import pytest

from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.towers.mmrl import mmrl

RNG = np.random.default_rng(0)
IMAGE, TOKENS, BEFORE = RNG.standard_normal((3, 5, 4))
TEXT, TEXT_BEFORE = RNG.standard_normal((2, 3, 4))
LABELS = np.array([0, 2, 1, 1, 0])
ALL = (IMAGE, TOKENS, TEXT, BEFORE, TEXT_BEFORE, LABELS)


def cosine(x, y):
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size else 0.0


def loops(image, tokens, text, image_before, text_before, labels, scale, alpha, anchor):
    total = 0.0
    for rows, weight in ((image, alpha), (tokens, 1 - alpha)):
        for row, y in zip(rows, labels, strict=True):
            logits = [scale * cosine(row, w) for w in text]
            top = max(logits)
            total += weight / len(rows) * (math.log(sum(math.exp(v - top) for v in logits)) + top - logits[y])
    for now, before in ((image, image_before), (text, text_before)):
        total += anchor * (1 - sum(map(cosine, now, before)) / len(now))
    return float(total)


def test_rows_that_are_where_they_were_are_held_by_nothing():
    for anchor in (0.0, 5.0):
        gradients = mmrl.value_and_grad(IMAGE, TOKENS, TEXT, IMAGE, TEXT, LABELS, anchor=anchor, alpha=0.4)[1]
        np.testing.assert_allclose(
            gradients["image"],
            mmrl.value_and_grad(*ALL, anchor=0.0, alpha=0.4)[1]["image"],
            atol=1e-12,
        )


def test_with_alpha_1_the_tokens_are_not_asked():
    value, gradients = mmrl.value_and_grad(*ALL, scale=3.0, alpha=1.0, anchor=0.0)
    u, w = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (IMAGE, TEXT))
    assert value == pytest.approx(float(cross_entropy(3 * u @ w.T, LABELS).data), rel=1e-12)
    assert not gradients["tokens"].any()


def test_the_official_loss_in_its_own_lines():
    """alpha xe(logits) + (1 - alpha) xe(logits_rep) + reg (1 - mean cos) of images + reg (1 - mean cos) of texts."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    c, r, w, c0, w0 = (torch.tensor(x, requires_grad=True) for x in ALL[:5])
    y = torch.tensor(LABELS)
    cn, rn, wn = (functional.normalize(x, dim=-1) for x in (c, r, w))
    held = sum(1 - functional.cosine_similarity(a, b.detach(), dim=1).mean() for a, b in ((cn, c0), (wn, w0)))
    theirs = (
        0.7 * functional.cross_entropy(100.0 * cn @ wn.t(), y)
        + 0.3 * functional.cross_entropy(100.0 * rn @ wn.t(), y)
        + 1.0 * held
    )
    theirs.backward()
    value, gradients = mmrl.value_and_grad(*ALL)
    assert value == pytest.approx(theirs.item(), rel=1e-9)
    for name, x in (("image", c), ("tokens", r), ("text", w)):
        np.testing.assert_allclose(gradients[name], x.grad.numpy(), rtol=1e-6, atol=1e-9)
