"""The table-driven test: every registered loss, with its defaults and every named variant, against independent oracles.

A new loss is covered as soon as its page is registered. It brings its invariants on the page, and its naive loops in
``tests/losses/<folder>/test_<name>.py`` as a function ``loops(**arguments)`` that returns a Python float.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from held_constants import held_constants

from mini_repr.autograd import Tensor, gradcheck, no_grad
from mini_repr.pages.arguments import Tile
from mini_repr.pages.loss import evaluate_definition
from mini_repr.pages.registry import all_losses
from mini_repr.pages.samples import sample, sample_inputs, sizes_of, wrong_values

LOSSES = all_losses()
CASES = [
    pytest.param(name, variant, id=f"{name}-{variant}")
    for name, loss in LOSSES.items()
    for variant in ["default", *loss.variants]
]
SEEDS = (0, 1)


def arguments_of(name, variant, rng):
    """(loss, complete keyword arguments: drawn arrays and learned scalars, variant settings)."""
    loss = LOSSES[name]
    chosen = loss.variants[variant] if variant != "default" else None
    arguments = sample_inputs(loss, rng, chosen.needs if chosen else ())
    for p in loss.settings:
        if p.annotation.differentiable:
            arguments[p.name] = sample(p.annotation, rng, {})
    if chosen:
        arguments.update(chosen.settings)
    return loss, arguments


def scalar_weights(value, rng):
    """What a value is weighted with to make one number: 1 for a scalar, random for one value a row."""
    return np.asarray(1.0) if np.ndim(value) == 0 else rng.standard_normal(np.shape(value))


def differentiable(loss, arguments):
    return [n for n in loss.differentiable if arguments.get(n) is not None]


def weighted_gradients(evaluate, loss, arguments, weights):
    """Value and gradients of sum(weights * evaluate(...)) for every differentiable argument given."""
    names = differentiable(loss, arguments)
    tensors = {n: Tensor(np.asarray(arguments[n]), requires_grad=True) for n in names}
    output = evaluate(**{**arguments, **tensors})
    if output.requires_grad:
        output.backward(np.asarray(weights, dtype=output.dtype).reshape(output.shape))
    return output.data, {n: np.zeros_like(t.data) if t.grad is None else t.grad for n, t in tensors.items()}


def loops_of(loss):
    path = Path(__file__).parent / loss.compares / f"test_{loss.name}.py"
    assert path.exists(), f"{loss.name} has no {path.relative_to(Path(__file__).parent)} with loops(**arguments)"
    spec = importlib.util.spec_from_file_location(f"loops_of_{loss.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.loops


def complete(loss, arguments):
    """The arguments with every default filled in, ``tile`` left out."""
    defaults = {p.name: p.default for p in loss.parameters.values() if p.default is not p.required}
    return {n: v for n, v in {**defaults, **arguments}.items() if n != "tile"}


@pytest.mark.parametrize("name, variant", CASES)
@pytest.mark.parametrize("seed", SEEDS)
def test_hand_gradient_equals_definition_and_differences(name, variant, seed):
    rng = np.random.default_rng(seed)
    loss, arguments = arguments_of(name, variant, rng)
    before = {n: np.array(v, copy=True) for n, v in arguments.items()}
    weights = scalar_weights(loss(**arguments).data, rng)

    value, hand = weighted_gradients(loss, loss, arguments, weights)
    defined, engine = weighted_gradients(loss.definition, loss, arguments, weights)
    np.testing.assert_allclose(value, defined, rtol=1e-10, atol=1e-12)
    for n in hand:
        size = max(1e-3, np.abs(engine[n]).max())
        np.testing.assert_allclose(hand[n], engine[n], rtol=0, atol=1e-9 * size, err_msg=f"gradient of {n}")
        assert hand[n].shape == np.shape(arguments[n]) and hand[n].dtype == np.float64
    for n, v in before.items():
        np.testing.assert_array_equal(arguments[n], v, err_msg=f"{n} was written to")

    names = differentiable(loss, arguments)
    arrays = [np.asarray(arguments[n], dtype=np.float64) for n in names]
    operations, held = held_constants(loss, complete(loss, arguments))

    def value_at(*arrays):
        given = {**arguments, **dict(zip(names, arrays, strict=True))}
        output = evaluate_definition(loss, complete(loss, given), operations) if held else loss(**given)
        return (output.data * weights).sum()

    gradcheck(value_at, arrays, [hand[n] for n in names], rng, step=1e-4, tolerance=1e-7)


@pytest.mark.parametrize("name, variant", CASES)
def test_definition_along_complex_step(name, variant):
    """Im f(x + ihd) / h: no subtraction, so exact to round-off; the strongest check of a formula's gradient."""
    rng = np.random.default_rng(2)
    loss, arguments = arguments_of(name, variant, rng)
    weights = scalar_weights(loss(**arguments).data, rng)
    _, hand = weighted_gradients(loss, loss, arguments, weights)
    for _ in range(3):
        direction = {n: rng.standard_normal(np.shape(g)) for n, g in hand.items()}
        stepped = {n: np.asarray(arguments[n]) + 1e-30j * d for n, d in direction.items()}
        operations, _ = held_constants(loss, complete(loss, arguments))
        with no_grad():
            value = evaluate_definition(loss, {**complete(loss, arguments), **stepped}, operations).data
        derivative = float((value.imag * weights).sum()) / 1e-30
        expected = sum(float((hand[n] * d).sum()) for n, d in direction.items())
        size = sum(float(np.abs(hand[n] * d).sum()) for n, d in direction.items())
        assert derivative == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(size, 1e-3))


@pytest.mark.parametrize("name, variant", CASES)
def test_value_equals_naive_loops(name, variant):
    rng = np.random.default_rng(3)
    loss, arguments = arguments_of(name, variant, rng)
    loops = loops_of(loss)
    value = loss(**arguments).data
    expected = loops(**complete(loss, arguments))
    np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "name, number",
    [pytest.param(n, k, id=f"{n}-{i.description}") for n, x in LOSSES.items() for k, i in enumerate(x.invariants)],
)
def test_invariant(name, number):
    LOSSES[name].invariants[number].check(LOSSES[name], np.random.default_rng(4))


@pytest.mark.parametrize("name", LOSSES)
def test_declares_invariants_source_and_definition(name):
    loss = LOSSES[name]
    assert len(loss.invariants) >= 3
    page = loss.text
    assert page.startswith(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")), "the page opens with its title"
    for part in ("Definition", "Gradient", "Shapes", "Source"):
        assert part in page, f"the page says nothing of {part}"
    assert "arXiv" in page or "doi" in page


@pytest.mark.parametrize("name, variant", CASES)
def test_float32_is_close_and_stays_float32(name, variant):
    rng = np.random.default_rng(5)
    loss, arguments = arguments_of(name, variant, rng)
    weights = scalar_weights(loss(**arguments).data, rng)
    value, exact = weighted_gradients(loss, loss, arguments, weights)
    single = {n: v.astype(np.float32) if getattr(v, "dtype", None) == np.float64 else v for n, v in arguments.items()}
    single = {n: np.float32(v) if isinstance(v, float) and n in loss.differentiable else v for n, v in single.items()}
    rounded, close = weighted_gradients(loss, loss, single, weights)
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, value, rtol=2e-5, atol=2e-6)
    for n, g in close.items():
        assert g.dtype == np.float32, f"gradient of {n} is {g.dtype}"
        np.testing.assert_allclose(g, exact[n], rtol=0, atol=1e-4 * max(1e-2, np.abs(exact[n]).max()), err_msg=n)


@pytest.mark.parametrize("name, variant", [c for c in CASES if "tile" in LOSSES[c.values[0]].parameters])
def test_tiles_equal_no_tiles(name, variant):
    rng = np.random.default_rng(6)
    loss, arguments = arguments_of(name, variant, rng)
    weights = scalar_weights(loss(**arguments).data, rng)
    value, whole = weighted_gradients(loss, loss, {**arguments, "tile": 1000}, weights)
    for tile in (1, 2, 4, None):
        tiled_value, tiled = weighted_gradients(loss, loss, {**arguments, "tile": tile}, weights)
        np.testing.assert_allclose(tiled_value, value, rtol=1e-12, atol=1e-13)
        for n in whole:
            np.testing.assert_allclose(tiled[n], whole[n], rtol=1e-10, atol=1e-12, err_msg=f"{n}, tile {tile}")


@pytest.mark.parametrize("name", LOSSES)
def test_tile_is_offered_under_that_name_only(name):
    assert all((p.name == "tile") == (p.annotation is Tile) for p in LOSSES[name].parameters.values())


@pytest.mark.parametrize("name, variant", CASES)
def test_backward_is_linear_and_repeats(name, variant):
    """backward(2 g) = 2 backward(g), and a second call gives the same bits: nothing saved is used up or drawn anew."""
    rng = np.random.default_rng(7)
    loss, arguments = arguments_of(name, variant, rng)
    value, backward, *_ = loss.thing(**loss.checked(loss.bind((), arguments)))
    g = scalar_weights(value, rng)
    first = [np.array(x, copy=True) for x in backward(g) if x is not None]
    again = [x for x in backward(g) if x is not None]
    twice = [x for x in backward(2 * g) if x is not None]
    for one, same, double in zip(first, again, twice, strict=True):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_allclose(2 * one, double, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_bad_input_is_refused_by_name(name):
    rng = np.random.default_rng(8)
    loss = LOSSES[name]
    good = sample_inputs(loss, rng)
    tried = 0
    for p in loss.parameters.values():
        if p.annotation.optional:
            continue
        for what, value in wrong_values(p.annotation, rng, sizes_of(loss)):
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got .+, expected .+") as caught:
                loss(**{**good, p.name: value})
            assert "\n" not in str(caught.value), what
            tried += 1
    assert tried >= 4


@pytest.mark.parametrize("name", LOSSES)
def test_mismatched_and_missing_arguments_are_refused(name):
    rng = np.random.default_rng(9)
    loss = LOSSES[name]
    good = sample_inputs(loss, rng)
    seen = set()
    for p in loss.arrays:
        if p.name not in good:
            continue
        shared = [axis for axis, letter in enumerate(p.annotation.letters) if letter in seen]
        for axis in shared:
            longer = np.concatenate([good[p.name], np.take(good[p.name], [0], axis=axis)], axis=axis)
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got shape"):
                loss(**{**good, p.name: longer})
        seen.update(p.annotation.letters)
    with pytest.raises(ValueError, match=rf"^{name}: "):
        loss(**good, no_such_parameter=1)
    with pytest.raises(ValueError, match=rf"^{name}: "):
        loss()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_value_and_grad_refuses_what_is_not_finite(name, bad):
    rng = np.random.default_rng(10)
    loss = LOSSES[name]
    good = sample_inputs(loss, rng)
    for p in loss.arrays:
        if p.name in good and good[p.name].dtype == np.float64:
            spoiled = good[p.name].copy()
            spoiled[(0,) * spoiled.ndim] = bad
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got a NaN or an infinity"):
                loss.value_and_grad(**{**good, p.name: spoiled})


def test_value_and_grad_refuses_a_result_beyond_the_dtype():
    cip, rows, labels = LOSSES["cip"], np.full((3, 2), 1e25, dtype=np.float32), np.array([0, 0, 1])
    with np.errstate(all="ignore"):
        with pytest.raises(ValueError, match=r"^cip: value: got a NaN or an infinity, expected .* float32$"):
            cip.value_and_grad(rows, labels)
        assert float(cip.value_and_grad(rows.astype(np.float64), labels)[0]) == pytest.approx(2e50)


@pytest.mark.parametrize("name", LOSSES)
def test_value_and_grad_covers_every_differentiable_argument(name):
    rng = np.random.default_rng(11)
    loss = LOSSES[name]
    good = sample_inputs(loss, rng)
    value, gradients = loss.value_and_grad(**good)
    assert value.shape == ()
    expected = [n for n in loss.differentiable if not loss.parameters[n].annotation.optional]
    assert list(gradients) == expected
    assert all(np.isfinite(g).all() for g in gradients.values())
    _, from_definition = loss.definition_and_grad(**good)
    assert list(from_definition) == expected
