import numpy as np
import pytest
from directional import check_parameter_gradients

from mini_repr.autograd import Tensor
from mini_repr.nn import Alit, AlitDecoder, Module
from mini_repr.nn.alit import lengths

SHAPE = (2, 8, 8)


def images(seed=1):
    return np.random.default_rng(seed).random((3, *SHAPE))


def made(**settings):
    settings = {"patch": 4, "width": 8, "heads": 2, "depth": 1, "rounds": 3, **settings}
    return moved(Alit(SHAPE, np.random.default_rng(0), np.float64, **settings))


def moved(module):
    """With no weight at 0, where blocks start."""
    rng = np.random.default_rng(2)
    module.load_state_dict({n: x + rng.uniform(-0.3, 0.3, x.shape) for n, x in module.state_dict().items()})
    return module


def test_a_code_grows_by_its_new_tokens_each_round():
    encoder = made(latents=2)
    assert [one.shape for one in encoder.rollout(images())] == [(3, 2, 8), (3, 4, 8), (3, 6, 8)]
    encoded = encoder(images())
    np.testing.assert_array_equal(encoded.pooled.data, encoder.layer_rows(images())[-1].data)
    assert encoded.tokens.shape == (3, 6, 8)


def test_a_round_knows_nothing_of_later_ones_and_its_weights_are_shared():
    three, one = made(), made(rounds=1)
    state = three.state_dict()
    one.load_state_dict({n: state[n][:1] if n == "round_embedding" else state[n] for n in one.state_dict()})
    np.testing.assert_allclose(three.rollout(images())[0].data, one.rollout(images())[0].data, rtol=1e-10)
    assert sum("blocks" in n for n in three.state_dict()) == sum("blocks" in n for n in one.state_dict())


def test_finished_patches_are_the_same_whatever_they_were():
    encoder, token, x = made(), Tensor(np.random.default_rng(3).standard_normal(8), True), images()
    asked = []

    def none(latents):
        asked.append(latents.shape)
        return np.zeros((3, 4), dtype=bool)

    never = encoder.rollout(x, none, token)
    assert asked == [(3, 1, 8), (3, 2, 8)], "after every round but the last"
    for one, other in zip(encoder.rollout(x), never, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
    always = encoder.rollout(x, lambda latents: np.ones((3, 4), dtype=bool), token)
    np.testing.assert_array_equal(always[0].data, never[0].data)
    assert (always[1].data != never[1].data).any()
    always[1].sum().backward()
    assert token.grad.any()


def test_gradients_equal_differences():
    both, rng, x = Module(), np.random.default_rng(0), images()
    both.encoder = made(rounds=2)
    both.decoder = moved(AlitDecoder(both.encoder, 3, 1, 2, rng, np.float64))
    both.token = Tensor(rng.standard_normal(8), True)
    weights, done = rng.standard_normal((2, 3, 4, 32)), rng.random((3, 4)) < 0.5

    def loss():
        found = both.encoder.rollout(x, lambda latents: done, both.token)
        return sum((both.decoder(one) * w).sum() for one, w in zip(found, weights, strict=True))

    check_parameter_gradients(both, loss, rng)


def test_the_decoder_is_told_of_the_latents_through_its_bottleneck_alone():
    encoder = made()
    decoder = moved(AlitDecoder(encoder, 2, 1, 2, np.random.default_rng(1), np.float64))
    latents = encoder.rollout(images())[-1].data
    rebuilt = decoder(latents).data
    assert rebuilt.shape == (3, 4, 32) and decoder(latents[:, :1]).shape == (3, 4, 32)
    unseen = np.linalg.svd(decoder.bottleneck.weight.data.T)[2][-1]  # a direction that the bottleneck drops
    np.testing.assert_allclose(decoder(latents + 5 * unseen).data, rebuilt, atol=1e-10)
    assert (decoder(latents + 1).data != rebuilt).any()


def test_lengths_are_of_the_first_round_that_is_good_enough():
    errors = np.array([[0.5, 0.3, 0.1], [0.5, 0.3, 0.1], [0.05, 0.3, 0.01]])
    assert lengths(errors, 0.2).tolist() == [3, 3, 1]
    assert lengths(errors, 0.01, latents=2).tolist() == [6, 6, 6] and lengths(errors, np.inf, 2).tolist() == [2, 2, 2]
    thresholds = [lengths(errors, t).sum() for t in (0.05, 0.2, 0.4, 1)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"encoder alit: got clips of shape \(4, 1, 8, 8\)"):
        Alit((4, 1, 8, 8), np.random.default_rng(0))
    with pytest.raises(ValueError, match="Alit: patch: got 3"):
        made(patch=3)
    with pytest.raises(ValueError, match=r"Alit: images: got shape \(3, 1, 8, 8\), expected \(B, 2, 8, 8\)"):
        made()(images()[:, :1])
