"""All sides of a row of ``scripts/bench.py`` compute the same."""

import re

import numpy as np
import pytest
from scripts_folder import script

from mini_repr.autograd import Tensor
from mini_repr.metrics import knn_accuracy, linear_probe
from mini_repr.metrics.linear_probe import logistic_regression
from mini_repr.nn import Crate, Decoder, Denoiser, ImageMLP, LanguageHead, Linear, TextTransformer, ViT
from mini_repr.optim import SAM, SGD

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.crosscheck

ours, in_torch, in_sklearn, common = (
    script(f"bench_sides.{side}") for side in ("ours", "in_torch", "in_sklearn", "common")
)
SMALL = {"width": 16, "depth": 2, "heads": 2}


def made(kind, **settings):
    return kind((1, 8, 8), np.random.default_rng(0), **settings)


class Pair:
    """Our parameters in float64, and a module of PyTorch with the same numbers.

    Args:
        parameters: ours by name, moved off a start where gates and biases are 0. theirs: the module.
        names: {pattern: replacement}, one after the other, that make our name of theirs.
    """

    def __init__(self, parameters, theirs, names=()):
        rng = np.random.default_rng(1)
        self.parameters, self.theirs = parameters, theirs.double()
        self.names = {r"(norm\d?)\.weight": r"\1.gain", **dict(names)}
        for parameter in parameters.values():
            parameter.data = parameter.data + 0.1 * rng.standard_normal(parameter.shape)
        self.own = {name: self._own(name) for name, _ in theirs.named_parameters()}
        assert sorted(self.own.values()) == sorted(parameters)
        with torch.no_grad():
            for name, parameter in theirs.named_parameters():
                parameter.copy_(torch.from_numpy(np.array(self.of(name, "data"))))

    def _own(self, name):
        for pattern, replacement in self.names.items():
            name = re.sub(pattern, replacement, name)
        return name

    def of(self, name, kind):
        """An array of ours, ``data`` or ``grad``, as it stands in theirs."""
        array = getattr(self.parameters[self.own[name]], kind)
        turned = name.endswith("weight") and array.ndim == 2 and not name.endswith("words.weight")
        return np.reshape(array.T if turned else array, self.theirs.get_parameter(name).shape)

    def agree(self, loss, wanted, unused=()):
        """Whether both have one loss and one gradient; ``unused`` parameters take no part."""
        loss.backward()
        wanted.backward()
        assert float(loss.data) == pytest.approx(wanted.item(), rel=1e-10)
        for name, parameter in self.theirs.named_parameters():
            if name not in unused:
                np.testing.assert_allclose(self.of(name, "grad"), parameter.grad.numpy(), atol=1e-10, err_msg=name)


# Our encoder, PyTorch's, and names that differ.
ENCODERS = {
    "vit": (lambda: made(ViT, patch=4, **SMALL), lambda: in_torch.vit_module(8, 4, 16, 2, 2), {}),
    "crate": (
        lambda: made(Crate, patch=4, **SMALL),
        lambda: in_torch.crate_module(8, 4, 16, 2, 2),
        {"dictionary$": "dictionary.weight"},
    ),
    "mlp": (
        lambda: made(ImageMLP, width=16, hidden=24, depth=3, norm=None),
        lambda: in_torch.mlp_module(64, 24, 16),
        {rf"^layers\.0\.{place}": f"layers.0.mlp.linears.{k}" for k, place in enumerate((1, 3, 5))},
    ),
}


def views_pair(name):
    """(our module from images to the loss's rows, the pair)."""
    encoder, theirs, names = ENCODERS[name]
    module = ours.encoder_and_head(lambda rng: encoder())
    of_layers = {r"^0\b": "layers.0", r"^1\b": "layers.2.linears.0", r"^3\b": "layers.2.linears.1"}
    names = {**of_layers, **names, "token$": "class_token"}
    return module, Pair(module.named_parameters(), in_torch.encoder_and_head(theirs(), 16), names)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_step_on_views_has_one_loss_and_one_gradient(name):
    module, pair = views_pair(name)
    data = np.random.default_rng(0).random((6, 1, 8, 8))
    pair.agree(ours.views_loss(module, data), in_torch.views_loss(pair.theirs, torch.from_numpy(data)))


def test_a_sam_step_moves_both_alike():
    """By plain descent after the climb: the two decay weights differently."""
    module, pair = views_pair("vit")
    rng = np.random.default_rng(0)
    data = rng.random((6, 1, 8, 8))
    before = {name: pair.of(name, "data").copy() for name in pair.own}
    ours.sam_step(SAM(SGD(pair.parameters, 0.1), common.RHO), module, rng, lambda: ours.views_loss(module, data))
    parameters = list(pair.theirs.parameters())
    given = torch.from_numpy(data)
    in_torch.sam_step(torch.optim.SGD(parameters, 0.1), parameters, lambda: in_torch.views_loss(pair.theirs, given))
    for name, parameter in pair.theirs.named_parameters():
        moved = parameter.detach().numpy() - before[name]
        np.testing.assert_allclose(pair.of(name, "data") - before[name], moved, atol=1e-11, err_msg=name)
        assert np.abs(moved).max() > 1e-6, name


def test_a_step_of_mae_has_one_loss_and_one_gradient():
    rng = np.random.default_rng(0)
    encoder = made(ViT, patch=2, **SMALL)
    decoder = Decoder(encoder, 8, 1, 2, 4, rng)
    theirs = in_torch.mae_module(8, 2, 16, 2, 2, 8)
    theirs.decoder.positions = torch.from_numpy(decoder.positions)
    parameters = {
        f"{part}.{name}": parameter
        for part, module in (("encoder", encoder), ("decoder", decoder))
        for name, parameter in module.named_parameters().items()
    }
    pair = Pair(parameters, theirs, {r"\btoken$": "class_token"})
    data, order = rng.random((5, 1, 8, 8)), rng.random((5, 16)).argsort(axis=1)
    mask = np.zeros((5, 16), dtype=bool)
    np.put_along_axis(mask, order[:, :12], True, axis=1)
    loss = ours.mae_loss(encoder, decoder, data, mask)
    pair.agree(loss, in_torch.mae_loss(pair.theirs, *map(torch.from_numpy, (data, order)), 12))


def test_a_flow_matching_step_has_one_loss_and_one_gradient():
    rng = np.random.default_rng(0)
    denoiser = made(Denoiser, patch=4, mlp_ratio=4.0, **SMALL)
    pair = Pair(denoiser.named_parameters(), in_torch.denoiser_module(8, 4, 16, 2, 2))
    pair.theirs.rates = 10000.0 ** (-torch.arange(8, dtype=torch.float64) / 8)  # made in float32
    inputs = rng.random((5, 1, 8, 8)), rng.standard_normal((5, 1, 8, 8)), rng.random(5)
    pair.agree(ours.flow_loss(denoiser, *inputs), in_torch.flow_loss(pair.theirs, *map(torch.from_numpy, inputs)))


def small_text_encoder(causal):
    rng = np.random.default_rng(0)
    return TextTransformer(rng, buckets=9, causal=causal, mlp_ratio=4.0, max_tokens=6, **SMALL)


@pytest.mark.parametrize("causal", [False, True])
def test_a_step_on_texts_has_one_loss_and_one_gradient(causal):
    rng = np.random.default_rng(0)
    encoder = small_text_encoder(causal)
    head, token = LanguageHead(encoder.words, rng), Tensor(np.zeros(16), requires_grad=True)
    parameters = encoder.named_parameters() | {"bias": head.bias, "token": token}
    pair = Pair(parameters, in_torch.text_module(6, 9, 16, 2, 2, causal))
    ids, places = rng.integers(9, size=(3, 6)), None if causal else rng.random((3, 6)).argsort(axis=1)[:, :2]
    wanted = in_torch.text_loss(pair.theirs, torch.from_numpy(ids), None if causal else torch.from_numpy(places))
    pair.agree(ours.text_loss(encoder, head, token, ids, places), wanted, unused=["token"] if causal else [])


def test_a_step_on_images_and_texts_has_one_loss_and_one_gradient():
    rng = np.random.default_rng(0)
    parts = {
        "image": made(ViT, patch=4, **SMALL),
        "image_map": Linear(16, 16, rng, bias=False),
        "text": small_text_encoder(causal=False),
        "text_map": Linear(16, 16, rng, bias=False),
    }
    temperature = Tensor(np.log(0.07), requires_grad=True)
    parameters = {f"{part}.{n}": p for part, module in parts.items() for n, p in module.named_parameters().items()}
    pair = Pair(
        parameters | {"temperature": temperature},
        in_torch.two_tower_module(8, 4, 16, 2, 2, 6, 9),
        {"token$": "class_token"},
    )
    data, ids = rng.random((5, 1, 8, 8)), rng.integers(9, size=(5, 6))
    wanted = in_torch.two_tower_loss(pair.theirs, *map(torch.from_numpy, (data, ids)))
    pair.agree(ours.two_tower_loss(parts, temperature, data, ids), wanted)


@pytest.mark.parametrize("name", [*common.LOSSES, "nested"])
def test_a_loss_has_one_value_and_one_gradient(name):
    a, b = np.random.default_rng(0).standard_normal((2, 24, 6))
    labels = np.arange(24) % 5
    x, y = (torch.from_numpy(rows).requires_grad_() for rows in (a, b))
    if name == "nested":
        wanted = in_torch.nested_loss(x, y, (2, 6))
        first, second = (Tensor(rows, requires_grad=True) for rows in (a, b))
        loss = ours.nested_loss(first, second, (2, 6))
        loss.backward()
        value, gradients = float(loss.data), {"a": first.grad, "b": second.grad}
    else:
        wanted = in_torch.losses(x, y, torch.from_numpy(labels))[name]()
        value, gradients = ours.loss_value_and_grad(name, a, b, labels)
    wanted.backward()
    assert float(value) == pytest.approx(wanted.item(), rel=1e-10)
    np.testing.assert_allclose(gradients.get("z", gradients.get("a")), x.grad.numpy(), atol=1e-10)
    if y.grad is not None:
        np.testing.assert_allclose(gradients["b"], y.grad.numpy(), atol=1e-10)


def test_neighbours_vote_alike_in_scikit_learn():
    inputs = common.labelled_rows(300, 200, 8)
    accuracy = knn_accuracy(*inputs)
    assert in_sklearn.knn_accuracy(*inputs) == accuracy
    assert 0.2 < accuracy < 0.9


def test_the_probe_is_scikit_learns_minimum():
    train, labels, test, test_labels = common.labelled_rows(300, 200, 8)
    accuracy, weight = in_sklearn.linear_probe(train, labels, test, test_labels)
    assert linear_probe(train, labels, test, test_labels) == accuracy
    assert 0.2 < accuracy < 0.9
    z = train.astype("float64")
    own, _ = logistic_regression((z - z.mean(axis=0)) / z.std(axis=0), labels, 10, 1.0)
    np.testing.assert_allclose(own, weight, atol=2e-3)
