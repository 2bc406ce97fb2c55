"""What flow_matching alone promises: naive loops, and that one prediction gives the others."""

import numpy as np
import pytest

from mini_repr.losses.reconstruction.flow_matching import flow_matching


def loops(prediction, clean, noise, mask, predicts, over, reduction):
    per_image = []
    for k, (y, x, n) in enumerate(zip(prediction, clean, noise, strict=True)):
        total, count, covered = 0.0, 0, 0.0
        for p in range(len(y)):
            for q in range(len(y[p])):
                goal = {
                    "velocity": n[p][q] - x[p][q],
                    "towards_data": x[p][q] - n[p][q],
                    "noise": n[p][q],
                    "clean": x[p][q],
                }[predicts]
                m = 1.0 if mask is None else mask[k][p][q]
                total, count, covered = total + (m * (y[p][q] - goal)) ** 2, count + 1, covered + m
        per_image.append(total / (covered or 1.0) if over == "mask" and mask is not None else total / count)
    return {"mean": sum(per_image) / len(per_image), "sum": sum(per_image), "none": np.array(per_image)}[reduction]


def images(seed=0):
    return np.random.default_rng(seed).standard_normal((3, 4, 2, 5))


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_error_of_a_velocity_is_that_of_what_it_implies_over_the_share_squared(t):
    velocity, clean, noise = images()
    noised = (1 - t) * clean + t * noise
    error = float(flow_matching(velocity, clean, noise).data)
    of_clean = float(flow_matching(noised - t * velocity, clean, noise, predicts="clean").data)
    of_noise = float(flow_matching(noised + (1 - t) * velocity, clean, noise, predicts="noise").data)
    np.testing.assert_allclose([of_clean / t**2, of_noise / (1 - t) ** 2], error, rtol=1e-12)
    np.testing.assert_allclose(flow_matching(-velocity, clean, noise, predicts="towards_data").data, error, rtol=1e-15)


def test_the_best_constant_is_the_mean_of_the_goals():
    """Where nothing is known of an image but its noise level, the mean velocity is the answer: its gradient is zero."""
    _, clean, noise = images()
    best = np.broadcast_to((noise - clean).mean(axis=0), clean.shape)
    _, gradients = flow_matching.value_and_grad(best, clean, noise)
    np.testing.assert_allclose(gradients["prediction"].sum(axis=0), 0, atol=1e-15)


def test_what_lies_outside_the_mask_counts_for_nothing():
    prediction, clean, noise = images()
    mask = np.zeros(clean.shape)
    mask[:, :1] = 1
    value, gradients = flow_matching.value_and_grad(prediction, clean, noise, mask)
    assert not gradients["prediction"][:, 1:].any() and gradients["prediction"][:, :1].all()
    moved = prediction + (mask == 0)
    assert float(flow_matching(moved, clean, noise, mask).data) == float(value)
    np.testing.assert_allclose(flow_matching(prediction, clean, noise, mask, over="mask").data, 2 * value, rtol=1e-12)
    whole = flow_matching(prediction, clean, noise, np.ones(clean.shape), over="mask").data
    np.testing.assert_allclose(whole, flow_matching(prediction, clean, noise).data, rtol=1e-12)
