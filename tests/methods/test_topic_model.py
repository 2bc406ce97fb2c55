"""Topic models: their words, their sets, and which gradient reaches what."""

from types import SimpleNamespace

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, TextSet
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.reconstruction.topic_elbo import topic_elbo
from mini_repr.methods import Batch, build_method
from mini_repr.methods.topic_model import counts_of, frequent_words, pooled_sets
from mini_repr.training import config
from mini_repr.training.distributed.sharding import BatchSharding

TEXTS = [f"the w{i % 6} v{i % 4} u{i % 3} w{(i + 1) % 6} the rare{i}" for i in range(24)]
DATA = Dataset("f", TextSet("f", TEXTS), TextSet("f", TEXTS[:8]))
ENCODER = {"name": "text", "width": 8, "hidden": 16, "embedding": 8, "buckets": 64}


def method_for(loss=None, data=DATA, **method):
    chosen = {
        "encoder": ENCODER,
        "method": {"topics": 4, "set_size": 3, "most_frequent": 1, **method},
        "loss": {"name": "topic_elbo", **(loss or {})},
    }
    made = build_method(config.resolve(chosen, "sentences"), data, np.random.default_rng(0))
    return made, made.load(DATA.train, CPU)


def gradients_of(method, inputs):
    for parameter in method.parameters():
        parameter.grad = None
    step = method.step(Batch(inputs), np.random.default_rng(3))
    step.total.backward()
    return step, {name: p.grad for name, p in method.named_parameters().items() if p.grad is not None}


def test_the_vocabulary_leaves_out_what_is_rare_and_what_is_everywhere():
    assert frequent_words(["a bb cc", "bb cc dd", "bb ee"], 1, 1) == ("cc", "dd", "ee")
    assert frequent_words(["a bb cc", "bb cc dd", "bb ee"], 2, 0) == ("bb", "cc")
    method, inputs = method_for()
    assert "the" not in method.vocabulary and not any(word.startswith("rare") for word in method.vocabulary)
    counts = counts_of(inputs[2], len(method.vocabulary))
    assert counts.sum() == 4 * len(TEXTS)
    assert counts[1, method.vocabulary.index("w1")] == 1


def test_the_elbo_alone_is_the_loss_of_the_drawn_topics():
    method, inputs = method_for(balance="none")
    drawn = method.sample(*inputs, np.random.default_rng(3))
    rows = method.embed(*drawn)
    gaussian = rows[1]
    mean, log_variance = gaussian.data[:, :4], gaussian.data[:, 4:]
    topics = np.exp(mean + drawn[4][:, 0] * np.exp(log_variance / 2))
    topics /= topics.sum(axis=1, keepdims=True)
    logits = topics @ method.decoder.weight.data
    scores = (logits - logits.mean(axis=0)) / np.sqrt(logits.var(axis=0) + 1e-5) + method.norm.bias.data
    expected = topic_elbo(scores, counts_of(inputs[2], len(method.vocabulary)), mean, log_variance)
    step = method.compare(rows, method.targets(*drawn), Batch(drawn), method.objective)
    assert float(step.total.data) == pytest.approx(float(expected.data), rel=1e-5)


def test_sets_are_pooled_whatever_the_order_within():
    rows = np.random.default_rng(0).standard_normal((8, 3))
    pooled = pooled_sets(rows, 3)
    np.testing.assert_array_equal(pooled.data, [rows[:3].max(axis=0), rows[3:6].max(axis=0)])
    np.testing.assert_array_equal(pooled.data, pooled_sets(rows[[2, 0, 1, 5, 4, 3, 7, 6]], 3).data)
    with pytest.raises(ValueError, match="set_size: got 5 in a batch of 8, expected two sets or more"):
        pooled_sets(rows, 5)


def test_a_sum_is_elbo_and_weighted_contrast_of_sets():
    method, inputs = method_for(balance="sum", contrast_weight=0.5, temperature=0.3)
    step, _ = gradients_of(method, inputs)
    terms = {name: float(value) for name, value in step.total.terms.items()}
    assert float(step.total.data) == pytest.approx(terms["topic_elbo"] + 0.5 * terms["contrast"], rel=1e-6)
    drawn = method.sample(*inputs, np.random.default_rng(3))
    gaussians = [method._gaussian(method.encoder(drawn[0], mask).pooled) for mask in drawn[1:3]]
    sides = []
    for k, gaussian in enumerate(gaussians):
        z = np.exp(gaussian.data[:, :4] + drawn[4][:, k] * np.exp(gaussian.data[:, 4:] / 2))
        sides.append(pooled_sets(method.contrast(z / z.sum(axis=1, keepdims=True)).data, 3).data)
    assert float(infonce(*sides, temperature=0.3).data) == pytest.approx(terms["contrast"], rel=1e-5)


def test_mgda_gives_the_encoder_the_shortest_vector_and_the_heads_their_own():
    """From the gradients of the two losses alone, taken at weights of the layers that make mean and log variance."""
    method, inputs = method_for(loss={"per_word": True})
    step, together = gradients_of(method, inputs)
    weight = float(step.total.terms["elbo weight"])
    assert 0 < weight < 1
    method.balance = "sum"
    method.contrast_weight = 0.0
    elbo = gradients_of(method, inputs)[1]
    method.contrast_weight = 1.0
    both = gradients_of(method, inputs)[1]
    name = "mean.layers.0.weight"
    contrast = {n: g - elbo[n] for n, g in both.items()}
    np.testing.assert_allclose(together[name], weight * elbo[name] + (1 - weight) * contrast[name], atol=1e-6)
    np.testing.assert_allclose(together["decoder.weight"], elbo["decoder.weight"], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(together["contrast.layers.0.weight"], contrast["contrast.layers.0.weight"], atol=1e-6)


def test_words_left_out_are_of_the_second_version_alone():
    method, inputs = method_for(left_out=0.6)
    _, mask, kept, *_ = method.sample(*inputs, np.random.default_rng(0))
    assert (kept <= mask).all() and 0.2 < kept.sum() / mask.sum() < 0.6
    assert mask.sum() == inputs[1].sum()


def test_topics_are_scores_of_words_and_another_loss_is_refused():
    method, inputs = method_for()
    gradients_of(method, inputs)
    scale = np.sqrt(method.norm.running_variance)
    np.testing.assert_allclose(method.topics() * scale, method.decoder.weight.data, rtol=1e-6)
    with pytest.raises(ValueError, match="method topic_model: cannot train cross_entropy"):
        config.resolve({"method": {"name": "topic_model"}, "loss": {"name": "cross_entropy"}}, "sentences")


def test_texts_without_common_words_are_refused():
    texts = [f"word{i} other{i}" for i in range(10)]
    data = Dataset("f", TextSet("f", texts), TextSet("f", texts))
    with pytest.raises(ValueError, match=r"f leaves 0 words, expected two or more; try --set method.least_documents=1"):
        method_for(data=data)


def test_the_balance_by_gradients_is_of_one_process():
    method, _ = method_for()
    with pytest.raises(ValueError, match="method topic_model: compares gradients of the whole batch: got 2 ranks"):
        BatchSharding(method, 24, SimpleNamespace(size=2))
