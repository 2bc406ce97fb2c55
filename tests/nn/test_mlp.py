import numpy as np
import pytest
from directional import check_parameter_gradients

from mini_repr.autograd import Tensor
from mini_repr.nn import MLP, Heads, ImageMLP, LinearHead, PredictionHead, ProjectionHead


@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("activation", ["gelu", "tanh"])
@pytest.mark.parametrize("last_norm", [None, "batch"])
def test_parameter_gradients_equal_differences(norm, activation, last_norm):
    rng = np.random.default_rng(0)
    mlp = MLP((4, 6, 5, 3), rng, activation=activation, norm=norm, last_norm=last_norm, dtype=np.float64)
    x, weights = rng.standard_normal((7, 4)), rng.standard_normal((7, 3))
    check_parameter_gradients(mlp, lambda: (mlp(x) * weights).sum(), rng)


def test_shapes_and_norms():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4)).astype(np.float32)
    plain = MLP((4, 8, 2), rng)
    assert plain(x).shape == (6, 2) and plain.linears[0].bias is not None
    normed = MLP((4, 8, 2), rng, norm="batch", last_norm="batch")
    assert all(layer.bias is None for layer in normed.linears)
    np.testing.assert_allclose(normed(x).data.mean(axis=0), 0, atol=1e-5)
    assert (normed(x).data != normed.eval()(x).data).any()


def test_image_mlp_flattens():
    rng = np.random.default_rng(0)
    encoder = ImageMLP((3, 4, 4), rng, width=5, hidden=7, depth=2, dropout=0.1)
    encoded = encoder(rng.random((6, 3, 4, 4), dtype=np.float32))
    assert encoded.pooled.shape == (6, 5) and encoded.tokens is None and encoder.width == 5


def test_heads():
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((6, 8)).astype(np.float32), True)
    simclr = ProjectionHead(8, 16, 4, rng)
    barlow = ProjectionHead(8, 16, 4, rng, layers=3, batch_norm=True, last_norm=True)
    predictor = PredictionHead(8, 2, rng)
    assert simclr(x).shape == barlow(x).shape == (6, 4) and predictor(x).shape == (6, 8)
    assert len(simclr.linears) == 2 and not simclr.norms
    assert len(barlow.linears) == 3 and len(barlow.norms) == 2
    assert len(predictor.norms) == 1
    assert len(ProjectionHead(8, 16, 4, rng, layers=1).linears) == 1
    scores = LinearHead(8, 3, rng)(x)
    assert scores.shape == (6, 3) and not scores.data.any()


def test_a_fixed_head_weighs_columns_and_trains_nothing():
    head = Heads(layers=0, kappa=2.0, dimensions=3).projector(3, np.random.default_rng(0))
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), True)
    rows = head(x)
    np.testing.assert_array_equal(rows.data, x.data * [1, 0.5, 0.25])
    rows.sum().backward()
    np.testing.assert_array_equal(x.grad, [[1, 0.5, 0.25]] * 2)
    assert rows.dtype == np.float32 and not head.parameters()
    none = Heads(layers=0, dimensions=3).projector(3, np.random.default_rng(0))
    np.testing.assert_array_equal(none(x).data, x.data)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"layers": 0}, "heads.dimensions: got 64, expected 8, the encoder's width"),
        ({"kappa": 1.1}, "heads.kappa: got 1.1, which is of a head without layers: heads.layers=0"),
        ({"layers": 0, "kappa": 0.9}, "heads.kappa: got 0.9, expected a number"),
    ],
)
def test_heads_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Heads(**settings).projector(8, np.random.default_rng(0))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda rng: MLP((3,), rng), "MLP: sizes"),
        (lambda rng: MLP((3, 2), rng, norm="group"), "MLP: norm: got 'group'"),
        (lambda rng: MLP((3, 2), rng, last_norm="layer"), "MLP: last_norm"),
        (lambda rng: MLP((3, 2), rng, activation="x"), "activation: got 'x'"),
        (lambda rng: ProjectionHead(3, 2, 2, rng, layers=0), "ProjectionHead: layers: got 0"),
        (lambda rng: ImageMLP((1, 4, 4), rng, depth=0), "^encoder mlp: depth: got 0"),
        (lambda rng: ImageMLP((1, 4, 4), rng)(np.zeros((2, 1, 4, 5), np.float32)), "ImageMLP: images: got shape"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.random.default_rng(0))
