import copy
import math

import numpy as np
import pytest

from mini_repr.autograd.tensor import Tensor
from mini_repr.optim import SGD, AdamW, decays
from mini_repr.pages.registry import pages_of

SHAPES = {"encoder.weight": (5, 3), "encoder.bias": (3,), "temperature": ()}
VARIANTS = {
    "sgd": (SGD, {}),
    "sgd decay": (SGD, {"weight_decay": 0.1}),
    "sgd momentum": (SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    "sgd nesterov": (SGD, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "adamw": (AdamW, {}),
    "adamw betas": (AdamW, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3}),
}
variants = pytest.mark.parametrize(("kind", "options"), VARIANTS.values(), ids=VARIANTS)


def make_parameters(dtype="float64", shapes=SHAPES, seed=0):
    generator = np.random.default_rng(seed)
    return {
        name: Tensor(np.asarray(generator.normal(size=shape), dtype), requires_grad=True)
        for name, shape in shapes.items()
    }


def set_gradients(parameters, step):
    generator = np.random.default_rng(100 + step)
    for parameter in parameters.values():
        parameter.grad = np.asarray(generator.normal(size=parameter.shape), parameter.dtype)


def run(optimizer, steps, start=0):
    for step in range(start, start + steps):
        set_gradients(optimizer.parameters, step)
        optimizer.step()


@pytest.mark.crosscheck
@variants
def test_steps_agree_with_torch(kind, options):
    torch = pytest.importorskip("torch")
    parameters = make_parameters()
    theirs = {name: torch.nn.Parameter(torch.tensor(p.data)) for name, p in parameters.items()}
    ours = kind(parameters, lr=0.05, **options)
    decay = {"weight_decay": options.get("weight_decay", 0.05 if kind is AdamW else 0.0)}
    groups = [
        {"params": [p for p in theirs.values() if p.ndim >= 2], **decay},
        {"params": [p for p in theirs.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    rest = {name: value for name, value in options.items() if name != "weight_decay"}
    reference = (torch.optim.SGD if kind is SGD else torch.optim.AdamW)(groups, lr=0.05, **rest)
    for step in range(6):
        set_gradients(parameters, step)
        for name, p in theirs.items():
            # One parameter sits out one step: its bias correction must lag behind.
            if step == 2 and name == "encoder.bias":
                p.grad = parameters[name].grad = None
            else:
                p.grad = torch.tensor(parameters[name].grad)
        ours.step()
        reference.step()
    for name, p in theirs.items():
        np.testing.assert_allclose(parameters[name].data, p.detach().numpy(), rtol=1e-12, atol=1e-14)


@variants
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_update_is_in_place_and_keeps_the_dtype(kind, options, dtype):
    parameters = make_parameters(dtype)
    arrays = {name: p.data for name, p in parameters.items()}
    before = {name: a.copy() for name, a in arrays.items()}
    run(kind(parameters, lr=0.1, **options), 2)
    for name, array in arrays.items():
        assert parameters[name].data is array
        assert array.dtype == dtype
        assert (array != before[name]).all()


@variants
def test_gradients_are_only_read(kind, options):
    parameters = make_parameters()
    optimizer = kind(parameters, lr=0.1, **options)
    set_gradients(parameters, 0)
    before = {name: p.grad.copy() for name, p in parameters.items()}
    optimizer.step()
    for name, gradient in before.items():
        np.testing.assert_array_equal(parameters[name].grad, gradient)


@variants
def test_blocks_of_a_large_parameter_give_the_same_update(kind, options):
    rows = 200_000  # 4.8 MB: many blocks, several threads
    parameters = make_parameters(shapes={"w": (rows, 3)})
    some = slice(rows // 2, rows // 2 + 7)
    small = {"w": Tensor(parameters["w"].data[some].copy())}
    optimizers = kind(parameters, lr=0.1, **options), kind(small, lr=0.1, **options)
    for step in range(2):
        set_gradients(parameters, step)
        small["w"].grad = parameters["w"].grad[some]
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_array_equal(parameters["w"].data[some], small["w"].data)


@variants
def test_transposed_parameter_is_updated_in_place(kind, options):
    straight = make_parameters(shapes={"w": (4, 3)})
    turned = {"w": Tensor(np.asfortranarray(straight["w"].data))}
    run(kind(straight, lr=0.1, **options), 2)
    run(kind(turned, lr=0.1, **options), 2)
    np.testing.assert_array_equal(straight["w"].data, turned["w"].data)


@variants
def test_parameter_without_gradient_rests(kind, options):
    parameters = make_parameters()
    optimizer = kind(parameters, lr=0.1, **options)
    run(optimizer, 1)
    state, data = optimizer.state_dict(), parameters["encoder.weight"].data.copy()
    set_gradients(parameters, 1)
    parameters["encoder.weight"].grad = None
    optimizer.step()
    np.testing.assert_array_equal(parameters["encoder.weight"].data, data)
    for key, value in optimizer.state_dict().items():
        if key.endswith("encoder.weight"):
            np.testing.assert_array_equal(value, state[key])


@variants
def test_lr_of_one_step_overrides(kind, options):
    parameters = make_parameters()
    optimizer = kind(parameters, lr=0.1, **options)
    before = {name: p.data.copy() for name, p in parameters.items()}
    set_gradients(parameters, 0)
    optimizer.step(lr=0.0)
    for name, data in before.items():
        np.testing.assert_array_equal(parameters[name].data, data)
    assert optimizer.lr == 0.1


def test_zero_grad_forgets_gradients():
    parameters = make_parameters()
    set_gradients(parameters, 0)
    SGD(parameters, lr=0.1).zero_grad()
    assert all(p.grad is None for p in parameters.values())


@variants
def test_state_dict_is_a_copy(kind, options):
    optimizer = kind(make_parameters(), lr=0.1, **options)
    run(optimizer, 1)
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    run(optimizer, 1, start=1)
    for key, value in kept.items():
        np.testing.assert_array_equal(state[key], value)


def test_state_that_does_not_fit_is_refused_and_changes_nothing():
    optimizer = AdamW(make_parameters(), lr=0.1)
    run(optimizer, 1)
    state = optimizer.state_dict()
    other = {key: value + 1 for key, value in state.items()}
    missing = {key: value for key, value in other.items() if key != "first_moment.temperature"}
    with pytest.raises(ValueError, match=r"optimiser adamw: state misses first_moment\.temperature"):
        optimizer.load_state_dict(missing)
    with pytest.raises(ValueError, match=r"optimiser adamw: state has unexpected velocity\.x"):
        optimizer.load_state_dict(other | {"velocity.x": np.zeros(3)})
    with pytest.raises(ValueError, match=r"second_moment\.encoder\.bias: got shape \(4,\), .* expected shape \(3,\)"):
        optimizer.load_state_dict(other | {"second_moment.encoder.bias": np.zeros(4)})
    with pytest.raises(ValueError, match=r"second_moment\.encoder\.bias: got .* dtype float32, expected .* float64"):
        optimizer.load_state_dict(other | {"second_moment.encoder.bias": np.zeros(3, "float32")})
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, state[key])


@pytest.mark.parametrize(
    ("name", "shape", "exclude", "expected"),
    [
        ("layer.weight", (3, 4), (), True),
        ("kernel", (3, 4, 2, 2), (), True),
        ("layer.bias", (4,), (), False),
        ("norm.gain", (4,), (), False),
        ("temperature", (), (), False),
        ("encoder.tokens", (5, 4), {"tokens"}, False),
        ("tokens", (5, 4), {"tokens"}, False),
        ("encoder.tokens", (5, 4), {"encoder.tokens"}, False),
        ("decoder.tokens", (5, 4), {"encoder.tokens"}, True),
        ("my_tokens", (5, 4), {"tokens"}, True),
    ],
)
def test_decay_rule(name, shape, exclude, expected):
    tensor = Tensor(np.ones(shape), requires_grad=True)
    assert decays(name, tensor, exclude) is expected
    for kind in (page.thing for page in pages_of("optimiser").values()):
        tensor = Tensor(np.ones(shape), requires_grad=True)
        tensor.grad = np.zeros(shape)
        kind({name: tensor}, lr=0.5, weight_decay=0.5, exclude=exclude).step()
        np.testing.assert_array_equal(tensor.data, 0.75 if expected else 1.0)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"lr": -0.1}, r"optimiser sgd: lr: got -0.1, expected a number \(>= 0\)"),
        (SGD, {"lr": math.nan}, "optimiser sgd: lr: got nan"),
        (AdamW, {"lr": math.inf}, "optimiser adamw: lr: got inf"),
        (SGD, {"lr": 1, "momentum": 1.0}, "optimiser sgd: momentum: got 1, expected"),
        (
            SGD,
            {"lr": 1, "nesterov": True},
            "optimiser sgd: nesterov: got True with momentum 0, expected momentum above 0",
        ),
        (SGD, {"lr": 1, "weight_decay": -1}, "optimiser sgd: weight_decay: got -1"),
        (SGD, {"lr": 1, "exclude": "tokens"}, "optimiser sgd: exclude: got the string 'tokens'"),
        (AdamW, {"lr": 1, "betas": (1.0, 0.9)}, "optimiser adamw: betas: got 1, expected"),
        (AdamW, {"lr": 1, "betas": (0.9, -0.1)}, "optimiser adamw: betas: got -0.1, expected"),
        (AdamW, {"lr": 1, "eps": 0.0}, "optimiser adamw: eps: got 0, expected"),
    ],
)
def test_bad_arguments(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(make_parameters(), **options)


def test_bad_lr_of_a_step_and_no_parameters():
    with pytest.raises(ValueError, match="optimiser sgd: lr: got -1"):
        SGD(make_parameters(), lr=0.1).step(lr=-1)
    with pytest.raises(ValueError, match="optimiser adamw: parameters: got none"):
        AdamW({}, lr=0.1)
