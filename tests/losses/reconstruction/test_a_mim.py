import math

import numpy as np
import pytest
from scipy import stats

from mini_repr.losses.reconstruction.a_mim import a_mim


def loops(prediction, target, code, mean, variance, form, scale, reduction):
    """Three log-densities per row, number by number."""

    def log_density(x, centre, variance):
        return -((x - centre) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2

    per_row = []
    for y, x, z, m, w in zip(prediction, target, code, mean, variance, strict=True):
        of_input = sum(log_density(a, b, scale**2) for a, b in zip(x, y, strict=True))
        of_prior = sum(log_density(a, 0.0, 1.0) for a in z)
        of_code = sum(log_density(a, b, c) for a, b, c in zip(z, m, w, strict=True))
        mim = -(of_input + of_prior + of_code) / 2
        per_row.append(mim if form == "mim" else -(of_input + of_prior - of_code))
    return {"mean": sum(per_row) / len(per_row), "sum": sum(per_row), "none": np.array(per_row)}[reduction]


def drawn(rows, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"prediction": 5, "target": 5, "mean": 3}
    arrays = {name: rng.normal(size=(rows, width)) for name, width in shapes.items()}
    arrays["variance"] = rng.uniform(0.2, 2.0, size=(rows, 3))
    noise = rng.normal(size=(rows, 3))
    return arrays | {"code": arrays["mean"] + np.sqrt(arrays["variance"]) * noise}, noise


def test_the_densities_are_those_of_scipy():
    arrays, _ = drawn(4)
    of_input = stats.norm(arrays["prediction"], 0.5).logpdf(arrays["target"]).sum(axis=1)
    of_prior = stats.norm(0, 1).logpdf(arrays["code"]).sum(axis=1)
    of_code = stats.norm(arrays["mean"], np.sqrt(arrays["variance"])).logpdf(arrays["code"]).sum(axis=1)
    np.testing.assert_allclose(a_mim(**arrays, reduction="none").data, -(of_input + of_prior + of_code) / 2)
    np.testing.assert_allclose(
        a_mim(**arrays, form="vae", reduction="none").data, -(of_input + of_prior - of_code), rtol=1e-12
    )


def test_a_vae_averages_to_the_divergence_in_closed_form():
    arrays, _ = drawn(1)
    many = {name: np.repeat(value, 200_000, axis=0) for name, value in arrays.items() if name != "code"}
    noise = np.random.default_rng(1).normal(size=many["mean"].shape)
    found = a_mim(**many, code=many["mean"] + np.sqrt(many["variance"]) * noise, form="vae")
    variance = arrays["variance"]
    divergence = 0.5 * (variance + arrays["mean"] ** 2 - 1 - np.log(variance)).sum()
    of_input = stats.norm(arrays["prediction"], 0.5).logpdf(arrays["target"]).sum()
    assert float(found.data) == pytest.approx(divergence - of_input, abs=0.02)


@pytest.mark.parametrize("form, sign", [("mim", 0.5), ("vae", -1.0)])
def test_through_the_sample_the_entropy_is_all_that_the_variance_changes(form, sign):
    """z = µ + sqrt(v) ξ: (z - µ)² / v is ξ², so that log q pulls v down in MIM and up in a VAE."""
    arrays, noise = drawn(3, seed=2)
    gradients = a_mim.value_and_grad(**arrays, form=form)[1]
    variance = arrays["variance"]
    through = gradients["variance"] + gradients["code"] * noise / (2 * np.sqrt(variance))
    prior = abs(sign) * arrays["code"] * noise / (2 * np.sqrt(variance))
    np.testing.assert_allclose(through, (sign / (2 * variance) + prior) / 3, atol=1e-14)
    np.testing.assert_allclose(gradients["code"] + gradients["mean"], abs(sign) * arrays["code"] / 3, atol=1e-14)
