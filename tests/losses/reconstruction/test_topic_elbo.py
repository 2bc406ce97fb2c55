import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from mini_repr.losses.reconstruction.topic_elbo import topic_elbo


def loops(scores, counts, mean, log_variance, alpha, per_word):
    total, topics = 0.0, mean.shape[1]
    r = (1 / alpha) * (1 - 2 / topics) + topics / alpha / topics**2
    for s, x, m, v in zip(scores, counts, mean, log_variance, strict=True):
        whole = sum(math.exp(one) for one in s)
        total -= sum(count * math.log(math.exp(one) / whole) for count, one in zip(x, s, strict=True))
        for k in range(topics):
            total += 0.5 * (math.exp(v[k]) / r + m[k] ** 2 / r - 1 + math.log(r / math.exp(v[k])))
    return total / (max(counts.sum(), 1) if per_word else len(scores))


def drawn(seed=0, documents=3, words=5, topics=4):
    rng = np.random.default_rng(seed)
    return {
        "scores": rng.standard_normal((documents, words)),
        "counts": rng.integers(0, 4, (documents, words)).astype(float),
        "mean": rng.standard_normal((documents, topics)),
        "log_variance": rng.standard_normal((documents, topics)),
    }


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_the_divergence_is_that_of_the_integral(alpha):
    given = drawn()
    r = (1 - 1 / 4) / alpha
    total = 0.0
    for m, log_variance in zip(given["mean"].ravel(), given["log_variance"].ravel(), strict=True):
        own, prior, reach = norm(m, math.exp(log_variance / 2)), norm(0, math.sqrt(r)), 12 * math.exp(log_variance / 2)

        def integrand(z, own=own, prior=prior):
            return own.pdf(z) * (own.logpdf(z) - prior.logpdf(z))

        total += quad(integrand, m - reach, m + reach)[0]
    terms = topic_elbo(**given, alpha=alpha).terms
    assert float(terms["divergence"]) == pytest.approx(total / 3, rel=1e-7)


def test_the_prior_is_the_public_ancestors():
    """AdhyaSuman/CLNTM, scholar.py: (1/alpha) (1 - 2/K) + 1/K² sum 1/alpha."""
    alpha, topics = np.full(7, 0.4), 7
    variance = (1 / alpha) * (1 - 2 / topics) + (1 / topics**2) * (1 / alpha).sum()
    at_prior = {"mean": np.zeros((1, 7)), "log_variance": np.log(variance)[None]}
    value, gradients = topic_elbo.value_and_grad(np.zeros((1, 2)), np.zeros((1, 2)), **at_prior, alpha=0.4)
    assert value == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(gradients["log_variance"], 0, atol=1e-12)


def test_words_are_a_multinomial_log_likelihood():
    given = drawn(1)
    p = np.exp(given["scores"]) / np.exp(given["scores"]).sum(axis=1, keepdims=True)
    expected = -(given["counts"] * np.log(p)).sum()
    assert float(topic_elbo(**given).terms["words"]) == pytest.approx(expected / 3)
    per_word = topic_elbo(**given, per_word=True)
    assert float(per_word.terms["words"]) == pytest.approx(expected / given["counts"].sum())
    assert float(per_word.data) * given["counts"].sum() == pytest.approx(float(topic_elbo(**given).data) * 3)


def test_a_variance_beyond_float32_is_refused():
    given = drawn()
    given["log_variance"][1, 2] = 90
    with pytest.raises(ValueError, match="topic_elbo: log_variance: got 90, expected at most 80"):
        topic_elbo(**given)
