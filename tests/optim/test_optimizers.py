import copy
import math

import numpy as np
import pytest

from mini_repr.autograd.tensor import Tensor
from mini_repr.optim import OPTIMIZERS, SGD, AdamW, decays
from mini_repr.training import checkpoint

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


def naive_sgd(p, g, state, t, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    d = g + weight_decay * p
    state["v"] = momentum * state.get("v", 0.0) + d
    if nesterov:
        return p - lr * (d + momentum * state["v"])
    return p - lr * (state["v"] if momentum else d)


def naive_adamw(p, g, state, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05):
    state["m"] = betas[0] * state.get("m", 0.0) + (1 - betas[0]) * g
    state["v"] = betas[1] * state.get("v", 0.0) + (1 - betas[1]) * g * g
    m_hat, v_hat = state["m"] / (1 - betas[0] ** t), state["v"] / (1 - betas[1] ** t)
    return p - lr * weight_decay * p - lr * m_hat / (math.sqrt(v_hat) + eps)


@variants
def test_steps_follow_the_formula_number_by_number(kind, options):
    parameters = make_parameters()
    naive = naive_sgd if kind is SGD else naive_adamw
    expected = {name: p.data.ravel().tolist() for name, p in parameters.items()}
    states = {name: [{} for _ in values] for name, values in expected.items()}
    optimizer = kind(parameters, lr=0.1, **options)
    for t in range(1, 6):
        set_gradients(parameters, t)
        optimizer.step()
        for name, values in expected.items():
            its = options if parameters[name].ndim == 2 else options | {"weight_decay": 0.0}
            gradients = parameters[name].grad.ravel()
            for i, value in enumerate(values):
                values[i] = naive(value, gradients[i], states[name][i], t, 0.1, **its)
            np.testing.assert_allclose(parameters[name].data.ravel(), values, rtol=1e-12, atol=1e-14)


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
def test_restored_state_continues_bit_for_bit(kind, options, tmp_path):
    parameters = make_parameters("float32")
    optimizer = kind(parameters, lr=0.1, **options)
    run(optimizer, 3)
    checkpoint.save(tmp_path / "state.npz", optimizer.state_dict(), {})
    resumed = copy.deepcopy({name: p.data for name, p in parameters.items()})
    run(optimizer, 3, start=3)

    resumed = {name: Tensor(data) for name, data in resumed.items()}
    fresh = kind(resumed, lr=0.1, **options)
    fresh.load_state_dict(checkpoint.load(tmp_path / "state.npz")[0])
    run(fresh, 3, start=3)
    for name, p in parameters.items():
        assert p.data.tobytes() == resumed[name].data.tobytes()


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
    with pytest.raises(ValueError, match=r"AdamW: state misses first_moment\.temperature"):
        optimizer.load_state_dict(missing)
    with pytest.raises(ValueError, match=r"AdamW: state has unexpected velocity\.x"):
        optimizer.load_state_dict(other | {"velocity.x": np.zeros(3)})
    with pytest.raises(ValueError, match=r"second_moment\.encoder\.bias must have shape \(3,\)"):
        optimizer.load_state_dict(other | {"second_moment.encoder.bias": np.zeros(4)})
    with pytest.raises(ValueError, match=r"second_moment\.encoder\.bias must .* dtype float64.*float32"):
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
    for kind in OPTIMIZERS.values():
        tensor = Tensor(np.ones(shape), requires_grad=True)
        tensor.grad = np.zeros(shape)
        kind({name: tensor}, lr=0.5, weight_decay=0.5, exclude=exclude).step()
        np.testing.assert_array_equal(tensor.data, 0.75 if expected else 1.0)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"lr": -0.1}, "SGD: lr must be finite and at least 0, got -0.1"),
        (SGD, {"lr": math.nan}, "SGD: lr .* got nan"),
        (AdamW, {"lr": math.inf}, "AdamW: lr .* got inf"),
        (SGD, {"lr": 1, "momentum": 1.0}, r"SGD: momentum must lie in \[0, 1\), got 1.0"),
        (SGD, {"lr": 1, "nesterov": True}, "SGD: nesterov needs momentum above 0, got 0.0"),
        (SGD, {"lr": 1, "weight_decay": -1}, "SGD: weight_decay .* got -1"),
        (SGD, {"lr": 1, "exclude": "tokens"}, "SGD: exclude .* got the string 'tokens'"),
        (AdamW, {"lr": 1, "betas": (1.0, 0.9)}, r"AdamW: betas\[0\] .* got 1.0"),
        (AdamW, {"lr": 1, "betas": (0.9, -0.1)}, r"AdamW: betas\[1\] .* got -0.1"),
        (AdamW, {"lr": 1, "eps": 0.0}, "AdamW: eps must be finite and above 0, got 0.0"),
    ],
)
def test_bad_arguments(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(make_parameters(), **options)


def test_bad_lr_of_a_step_and_no_parameters():
    with pytest.raises(ValueError, match=r"SGD: lr .* got -1"):
        SGD(make_parameters(), lr=0.1).step(lr=-1)
    with pytest.raises(ValueError, match="AdamW: parameters is empty"):
        AdamW({}, lr=0.1)
