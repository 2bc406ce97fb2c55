import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.nn import (
    BatchNorm,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Sequential,
    activation_named,
    he_normal,
    truncated_normal,
    xavier_uniform,
    zeros,
)


def drawn(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_linear():
    layer = Linear(4, 3, np.random.default_rng(0))
    x = drawn(2, 5, 4)
    np.testing.assert_allclose(layer(x).data, x @ layer.weight.data + layer.bias.data, rtol=1e-5, atol=1e-6)
    assert Linear(4, 3, np.random.default_rng(0), bias=False).bias is None


def test_layer_norm_rows_have_mean_zero_and_variance_one():
    rows = LayerNorm(64)(drawn(5, 64) * 3 + 2).data
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(rows.var(axis=1), 1, rtol=1e-4)


def test_batch_norm_in_training_and_evaluation():
    layer = BatchNorm(3)
    for k in range(200):
        output = layer(drawn(64, 3, seed=k) * 2 + 5)
    np.testing.assert_allclose(output.data.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean, 5, rtol=0.05)
    np.testing.assert_allclose(layer.running_variance, 4, rtol=0.2)
    layer.eval()
    before = layer.state_dict()
    one = layer(np.full((1, 3), 5.0, np.float32)).data
    np.testing.assert_allclose(one, 0, atol=0.1)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_without_affine_equals_gain_one_and_bias_zero(training):
    plain, affine = BatchNorm(3, affine=False).train(training), BatchNorm(3).train(training)
    x, other = Tensor(drawn(6, 3), True), Tensor(drawn(6, 3), True)
    weights = drawn(6, 3, seed=1)
    (plain(x) * weights).sum().backward()
    (affine(other) * weights).sum().backward()
    np.testing.assert_allclose(x.grad, other.grad, rtol=1e-6)
    assert not plain.named_parameters() and x.grad.dtype == np.float32


@pytest.mark.crosscheck
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_equals_torch(affine):
    torch = pytest.importorskip("torch")
    mine, theirs = BatchNorm(5, affine=affine), torch.nn.BatchNorm1d(5, affine=affine)
    for k in range(4):
        x = drawn(7, 5, seed=k) * 2 + 1
        a, b = Tensor(x, True), torch.tensor(x, requires_grad=True)
        weights = drawn(7, 5, seed=10 + k)
        ours, other = mine(a), theirs(b)
        np.testing.assert_allclose(ours.data, other.detach().numpy(), rtol=1e-4, atol=1e-5)
        (ours * weights).sum().backward()
        (other * torch.tensor(weights)).sum().backward()
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(mine.running_mean, theirs.running_mean.numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(mine.running_variance, theirs.running_var.numpy(), rtol=1e-5)
    x = drawn(7, 5, seed=20)
    expected = theirs.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(mine.eval()(x).data, expected, rtol=1e-4, atol=1e-5)


def test_embedding_adds_the_gradients_of_repeated_rows():
    table = Embedding(5, 2, np.random.default_rng(0))
    ids = np.array([[1, 1, 4], [1, 0, 4]])
    output = table(ids)
    assert output.shape == (2, 3, 2)
    np.testing.assert_array_equal(output.data, table.weight.data[ids])
    output.sum().backward()
    np.testing.assert_array_equal(table.weight.grad[:, 0], [1, 3, 0, 0, 2])


def test_dropout_keeps_the_mean_and_is_off_in_evaluation():
    x = Tensor(np.ones((400, 50), np.float32), True)
    layer = Dropout(0.25, np.random.default_rng(0))
    output = layer(x)
    assert output.dtype == np.float32
    assert set(np.unique(output.data)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(output.data.mean() - 1) < 0.02
    output.sum().backward()
    np.testing.assert_array_equal(x.grad, output.data)
    assert layer.eval()(x) is x


def test_sequential_takes_modules_and_functions():
    rng = np.random.default_rng(0)
    chain = Sequential(Linear(3, 4, rng), activation_named("tanh"), Linear(4, 2, rng))
    assert chain(drawn(5, 3)).shape == (5, 2)
    assert list(chain.named_parameters())[-1] == "layers.2.bias"


def test_initialisations_have_their_spread():
    rng = np.random.default_rng(0)
    shape = (300, 200)
    cut = truncated_normal(rng, shape)
    assert abs(cut).max() <= 0.04 and cut.std() == pytest.approx(0.02 * 0.8796, rel=0.02)
    uniform = xavier_uniform(rng, shape)
    assert abs(uniform).max() <= np.sqrt(6 / 500) and uniform.std() == pytest.approx(np.sqrt(2 / 500), rel=0.02)
    assert he_normal(rng, shape).std() == pytest.approx(np.sqrt(2 / 300), rel=0.02)
    assert not zeros(rng, shape).any()
    assert all(f(rng, shape).dtype == np.float32 for f in (truncated_normal, xavier_uniform, he_normal, zeros))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda rng: Linear(0, 3, rng), "inputs: got 0"),
        (lambda rng: Linear(3, 1.5, rng), "outputs: got 1.5"),
        (lambda rng: Linear(3, 2, rng)(drawn(2, 4)), "Linear: x: got shape"),
        (lambda rng: LayerNorm(-1), "width: got -1"),
        (lambda rng: BatchNorm(3)(drawn(2, 4)), "BatchNorm: x: got shape"),
        (lambda rng: BatchNorm(3)(drawn(1, 3)), "BatchNorm: x: got 1 row"),
        (lambda rng: Dropout(1.0, rng), "Dropout: rate: got 1.0"),
        (lambda rng: Embedding(3, 2, rng)(np.array([3])), "Embedding: ids: got 3 to 3"),
        (lambda rng: Embedding(3, 2, rng)(np.array([-1])), "Embedding: ids: got -1"),
        (lambda rng: Embedding(3, 2, rng)(np.array([0.5])), "Embedding: ids: got dtype float64"),
        (lambda rng: activation_named("swish"), "activation: got 'swish'"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.random.default_rng(0))
