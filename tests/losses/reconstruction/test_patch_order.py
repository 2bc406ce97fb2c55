"""What patch_order alone promises: naive loops, only the order counts, images without one, the official code's form."""

import math

import numpy as np
import pytest

from mini_repr.losses.reconstruction.patch_order import patch_order


def loops(prediction, error, mask, form, eps):
    total, count = 0.0, 0
    for p, t, hidden in zip(prediction.tolist(), error.tolist(), mask.tolist(), strict=True):
        places = [i for i, h in enumerate(hidden) if h]
        if form == "relative":
            for i in places:
                for j in places:
                    if t[i] > t[j]:
                        total += math.log1p(math.exp(-(p[i] - p[j])))
                        count += 1
            continue
        mean = sum(t[i] for i in places) / max(len(places), 1)
        variance = sum((t[i] - mean) ** 2 for i in places) / max(len(places) - 1, 1)
        total += sum((p[i] - (t[i] - mean) / math.sqrt(variance + eps)) ** 2 for i in places)
        count += len(places)
    return total / max(count, 1)


def drawn(seed=0, batch=4, patches=6):
    rng = np.random.default_rng(seed)
    p, t = rng.standard_normal((2, batch, patches))
    return p, t, rng.random((batch, patches)).argsort(axis=1) < patches - 2


def test_only_the_order_of_errors_counts():
    p, t, mask = drawn()
    value, gradients = patch_order.value_and_grad(p, t, mask)
    other, same = patch_order.value_and_grad(p, np.exp(3 * t), mask)
    assert other == pytest.approx(float(value)) and np.allclose(gradients["prediction"], same["prediction"])
    assert patch_order.value_and_grad(p, np.exp(3 * t), mask, form="absolute")[0] != pytest.approx(
        float(patch_order.value_and_grad(p, t, mask, form="absolute")[0])
    )


def test_the_gradient_sums_to_zero_in_every_image_and_spares_what_is_visible():
    p, t, mask = drawn(1)
    for form in ("relative", "absolute"):
        gradient = patch_order.value_and_grad(p, t, mask, form=form)[1]["prediction"]
        assert not gradient[~mask].any() and gradient[mask].any()
        moved = patch_order.value_and_grad(np.where(mask, p, 9.0), np.where(mask, t, -9.0), mask, form=form)[1]
        np.testing.assert_allclose(moved["prediction"], gradient, atol=1e-14)
    assert np.allclose(patch_order.value_and_grad(p, t, mask)[1]["prediction"].sum(axis=1), 0)


def test_an_image_without_an_order_adds_nothing():
    p, t, mask = drawn(2)
    value, gradients = patch_order.value_and_grad(p, t, mask)
    t = np.concatenate([t, np.full((1, 6), 2.0)])
    flat, own = patch_order.value_and_grad(np.concatenate([p, 5 * p[:1]]), t, np.concatenate([mask, mask[:1]]))
    assert flat == pytest.approx(float(value)) and not own["prediction"][-1].any()
    np.testing.assert_allclose(own["prediction"][:-1], gradients["prediction"])
    one = np.arange(6) == 3
    value, gradients = patch_order.value_and_grad(p, t[:4], np.tile(one, (4, 1)))
    assert value == 0 and not gradients["prediction"].any()
    assert np.isfinite(patch_order.value_and_grad(p, t[:4], np.tile(one, (4, 1)), form="absolute")[0])


@pytest.mark.crosscheck
@pytest.mark.parametrize("form", ["relative", "absolute"])
def test_against_torch_as_the_official_code_has_it(form):
    """Over the hidden patches alone, as its caller takes them; without the 1e-6 inside its logarithms."""
    torch = pytest.importorskip("torch")
    p, t, mask = drawn(3)
    full = torch.tensor(p, requires_grad=True)
    scores = full[torch.tensor(mask)].reshape(4, -1)
    errors = torch.tensor(t[mask].reshape(4, -1))
    if form == "relative":
        above, below = (compare(errors[:, None], errors[:, :, None]) for compare in (torch.gt, torch.lt))
        share = torch.sigmoid(scores[:, None] - scores[:, :, None])
        expected = -(above * share.log() + below * (1 - share).log()).sum() / (above | below).sum()
    else:
        standard = (errors - errors.mean(1, keepdim=True)) / (errors.var(1, keepdim=True) + 1e-6).sqrt()
        expected = ((scores - standard) ** 2).mean()
    expected.backward()
    value, gradients = patch_order.value_and_grad(p, t, mask, form=form)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["prediction"], full.grad.numpy(), atol=1e-12)
