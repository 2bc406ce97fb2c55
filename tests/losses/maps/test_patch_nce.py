"""What patch_nce alone promises: naive loops, that it is InfoNCE within an image, and the official code's number."""

import math

import numpy as np
import pytest

from mini_repr.losses.maps.patch_nce import patch_nce
from mini_repr.losses.pairs.infonce import infonce

RNG = np.random.default_rng(0)
QUERY, KEY = RNG.standard_normal((2, 3, 5, 4))


def loops(query, key, temperature):
    def cosine(x, y):
        size = math.sqrt(float(x @ x) * float(y @ y))
        return float(x @ y) / size if size else 0.0

    total = 0.0
    for q, k in zip(query, key, strict=True):
        for i in range(len(q)):
            logits = [cosine(q[i], other) / temperature for other in k]
            top = max(logits)
            total += math.log(sum(math.exp(v - top) for v in logits)) + top - logits[i]
    return total / (len(query) * query.shape[1])


def test_it_is_infonce_in_one_direction_within_each_image():
    each = [infonce.value_and_grad(q, k, 0.07, symmetric=False) for q, k in zip(QUERY, KEY, strict=True)]
    value, gradients = patch_nce.value_and_grad(QUERY, KEY)
    assert value == pytest.approx(np.mean([v for v, _ in each]), rel=1e-10)
    np.testing.assert_allclose(gradients["query"], [g["a"] / 3 for _, g in each], atol=1e-10)


def test_the_official_loss_in_its_own_lines():
    """l_pos first, then the row with -10 on its diagonal, all over 0.07: cross-entropy of the first."""
    torch = pytest.importorskip("torch")
    q = torch.tensor(QUERY[0], requires_grad=True)
    k = torch.tensor(KEY[0])
    qn, kn = (x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-7) for x in (q, k))
    positive = (qn * kn).sum(dim=1, keepdim=True)
    others = (qn @ kn.T).masked_fill(torch.eye(5, dtype=torch.bool), -10.0)
    out = torch.cat([positive, others], dim=1) / 0.07
    theirs = torch.nn.functional.cross_entropy(out, torch.zeros(5, dtype=torch.long))
    theirs.backward()
    value, gradients = patch_nce.value_and_grad(QUERY[:1], KEY[:1])
    assert value == pytest.approx(theirs.item(), rel=1e-5)
    np.testing.assert_allclose(gradients["query"][0], q.grad.numpy(), rtol=1e-4, atol=1e-5)
