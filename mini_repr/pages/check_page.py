"""Check a loss page: each of its promises is one check, which raises AssertionError where the promise is broken.

``check_page(page, loops)`` runs all checks; ``checks_of(page, loops)`` names them, for a test suite that reports each
one. Inputs are sampled from the annotations, with fixed seeds. ``loops(**arguments)`` is the formula once more, as
naive Python loops that share no code with the page.
"""

import re
from functools import partial
from itertools import count

import numpy as np

from mini_repr.autograd import Tensor, gradcheck, no_grad, stop_gradient, value_of
from mini_repr.pages.arguments import Tile
from mini_repr.pages.loss import evaluate_definition
from mini_repr.pages.samples import sample, sample_inputs, sizes_of, wrong_values


def check_page(page, loops=None):
    """Run all checks of a loss page.

    Raises:
        AssertionError: naming the page, the check, and what was found.
    """
    for name, check in checks_of(page, loops).items():
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"{page.name}: {name}: {error}") from error


def checks_of(page, loops=None):
    """{name of the check: function without arguments}; the comparison with ``loops`` is among them where they come."""
    once = {
        "text and invariants are there": _text_and_invariants,
        "tiles have their name": _name_of_tiles,
        "bad input is refused by name": _bad_input,
        "arguments that do not fit are refused": _unfit_arguments,
        "NaN is refused": partial(_not_finite, bad=np.nan),
        "infinity is refused": partial(_not_finite, bad=np.inf),
        "value_and_grad covers every differentiable argument": _value_and_grad,
    }
    seeded = {
        "value equals the definition": _value,
        "gradient equals the definition's": _gradient,
        "gradient equals differences": _differences,
        "inputs stay untouched": _inputs_untouched,
    }
    by_variant = {
        "gradient equals the complex step's": _complex_step,
        "float32 is close and stays float32": _float32,
        "backward is linear and repeats": _backward,
    }
    if "tile" in page.parameters:
        by_variant["tiles equal no tiles"] = _tiles
    if loops is not None:
        by_variant["value equals naive loops"] = partial(_loops, loops=loops)
    checks = {name: partial(check, page) for name, check in once.items()}
    for number, invariant in enumerate(page.invariants):
        checks[f"invariant {number}: {invariant.description}"] = partial(_invariant, page, invariant)
    for variant in ("default", *page.variants):
        for name, check in seeded.items():
            checks |= {f"{name}, {variant}, seed {seed}": partial(check, page, variant, seed) for seed in (0, 1)}
        checks |= {f"{name}, {variant}": partial(check, page, variant) for name, check in by_variant.items()}
    return checks


# Inputs of the checks, and gradients of what they give.


def sampled_arguments(page, variant, rng):
    """Keyword arguments of a variant or "default": sampled arrays and learned scalars, the variant's settings."""
    chosen = page.variants[variant] if variant != "default" else None
    arguments = sample_inputs(page, rng, chosen.needs if chosen else ())
    for p in page.settings:
        if p.annotation.differentiable:
            arguments[p.name] = sample(p.annotation, rng, {})
    return {**arguments, **(chosen.settings if chosen else {})}


def sampled_weights(value, rng):
    """What a value is weighted with to make one number: 1 for a scalar, random for one value per row."""
    return np.asarray(1.0) if np.ndim(value) == 0 else rng.standard_normal(np.shape(value))


def differentiable(page, arguments):
    """Names of the differentiable arguments that are given."""
    return [n for n in page.differentiable if arguments.get(n) is not None]


def weighted_gradients(evaluate, page, arguments, weights):
    """Value and gradients of sum(weights * evaluate(...)) for every differentiable argument given."""
    tensors = {n: Tensor(np.asarray(arguments[n]), requires_grad=True) for n in differentiable(page, arguments)}
    output = evaluate(**{**arguments, **tensors})
    if output.requires_grad:
        output.backward(np.asarray(weights, dtype=output.dtype).reshape(output.shape))
    return output.data, {n: np.zeros_like(t.data) if t.grad is None else t.grad for n, t in tensors.items()}


def held_constants(page, arguments):
    """(operations for ``evaluate_definition``, whether a stop-gradient depends on what takes a gradient).

    With these operations every ``stop_gradient`` gives the value that it has at ``arguments``, which are complete.
    Where a loss cuts a factor that depends on its inputs (a weight that is recomputed, but not learnt from), the
    gradient is not the slope of the value, but that of the definition with such factors constant.
    """
    values, cuts = [], []

    def keep(x):
        values.append(value_of(x))
        cuts.append(isinstance(x, Tensor) and x.requires_grad)
        return stop_gradient(x)

    tensors = {n: Tensor(arguments[n], requires_grad=True) for n in differentiable(page, arguments)}
    evaluate_definition(page, {**arguments, **tensors}, {"stop_gradient": keep})
    calls = count()  # every evaluation cuts in the same order
    return {"stop_gradient": lambda x: Tensor(values[next(calls) % len(values)])}, any(cuts)


def _sampled(page, variant, seed):
    rng = np.random.default_rng(seed)
    arguments = sampled_arguments(page, variant, rng)
    return rng, arguments, sampled_weights(page(**arguments).data, rng)


# The checks.


def _value(page, variant, seed):
    _, arguments, _ = _sampled(page, variant, seed)
    defined = page.definition(**arguments).data
    np.testing.assert_allclose(page(**arguments).data, defined, rtol=1e-10, atol=1e-12)


def _gradient(page, variant, seed):
    _, arguments, weights = _sampled(page, variant, seed)
    _, hand = weighted_gradients(page, page, arguments, weights)
    _, engine = weighted_gradients(page.definition, page, arguments, weights)
    for n in hand:
        size = max(1e-3, np.abs(engine[n]).max())
        np.testing.assert_allclose(hand[n], engine[n], rtol=0, atol=1e-9 * size, err_msg=f"gradient of {n}")
        assert hand[n].shape == np.shape(arguments[n]) and hand[n].dtype == np.float64


def _inputs_untouched(page, variant, seed):
    _, arguments, weights = _sampled(page, variant, seed)
    before = {n: np.array(v, copy=True) for n, v in arguments.items()}
    for evaluate in (page, page.definition):
        weighted_gradients(evaluate, page, arguments, weights)
    for n, v in before.items():
        np.testing.assert_array_equal(arguments[n], v, err_msg=f"{n} was written to")


def _differences(page, variant, seed):
    rng, arguments, weights = _sampled(page, variant, seed)
    _, hand = weighted_gradients(page, page, arguments, weights)
    arrays = [np.asarray(arguments[n], dtype=np.float64) for n in hand]
    operations, held = held_constants(page, page.complete(arguments))

    def value_at(*arrays):
        given = {**arguments, **dict(zip(hand, arrays, strict=True))}
        output = evaluate_definition(page, page.complete(given), operations) if held else page(**given)
        return (output.data * weights).sum()

    gradcheck(value_at, arrays, list(hand.values()), rng, step=1e-4, tolerance=1e-7)


def _complex_step(page, variant):
    """Im f(x + ihd) / h: no subtraction, so exact to round-off; the strongest check of a formula's gradient."""
    rng, arguments, weights = _sampled(page, variant, 2)
    _, hand = weighted_gradients(page, page, arguments, weights)
    for _ in range(3):
        direction = {n: rng.standard_normal(np.shape(g)) for n, g in hand.items()}
        stepped = {n: np.asarray(arguments[n]) + 1e-30j * d for n, d in direction.items()}
        operations, _ = held_constants(page, page.complete(arguments))
        with no_grad():
            value = evaluate_definition(page, {**page.complete(arguments), **stepped}, operations).data
        derivative = float((value.imag * weights).sum()) / 1e-30
        expected = sum(float((hand[n] * d).sum()) for n, d in direction.items())
        size = sum(float(np.abs(hand[n] * d).sum()) for n, d in direction.items())
        np.testing.assert_allclose(derivative, expected, rtol=0, atol=1e-9 * max(abs(expected), size, 1e-3))


def _loops(page, variant, loops):
    arguments = sampled_arguments(page, variant, np.random.default_rng(3))
    expected = loops(**page.complete(arguments))
    np.testing.assert_allclose(page(**arguments).data, expected, rtol=1e-10, atol=1e-12)


def _invariant(page, invariant):
    invariant.check(page, np.random.default_rng(4))


def _float32(page, variant):
    _, arguments, weights = _sampled(page, variant, 5)
    value, exact = weighted_gradients(page, page, arguments, weights)
    single = {n: v.astype(np.float32) if getattr(v, "dtype", None) == np.float64 else v for n, v in arguments.items()}
    single = {n: np.float32(v) if isinstance(v, float) and n in page.differentiable else v for n, v in single.items()}
    rounded, close = weighted_gradients(page, page, single, weights)
    assert rounded.dtype == np.float32, f"value is {rounded.dtype}"
    np.testing.assert_allclose(rounded, value, rtol=2e-5, atol=2e-6)
    for n, g in close.items():
        assert g.dtype == np.float32, f"gradient of {n} is {g.dtype}"
        np.testing.assert_allclose(g, exact[n], rtol=0, atol=1e-4 * max(1e-2, np.abs(exact[n]).max()), err_msg=n)


def _tiles(page, variant):
    _, arguments, weights = _sampled(page, variant, 6)
    value, whole = weighted_gradients(page, page, {**arguments, "tile": 1000}, weights)
    for tile in (1, 2, 4, None):
        tiled_value, tiled = weighted_gradients(page, page, {**arguments, "tile": tile}, weights)
        np.testing.assert_allclose(tiled_value, value, rtol=1e-12, atol=1e-13)
        for n in whole:
            np.testing.assert_allclose(tiled[n], whole[n], rtol=1e-10, atol=1e-12, err_msg=f"{n}, tile {tile}")


def _backward(page, variant):
    """backward(2 g) = 2 backward(g), and a second call gives the same bits: nothing saved is used up or drawn anew."""
    _, arguments, g = _sampled(page, variant, 7)
    _, backward, *_ = page.thing(**page.checked(page.bind((), arguments)))
    first = [np.array(x, copy=True) for x in backward(g) if x is not None]
    again = [x for x in backward(g) if x is not None]
    twice = [x for x in backward(2 * g) if x is not None]
    for one, same, double in zip(first, again, twice, strict=True):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_allclose(2 * one, double, rtol=1e-12, atol=1e-15)


def _text_and_invariants(page):
    assert len(page.invariants) >= 3, f"declares {len(page.invariants)} invariants, expected 3 or more"
    assert page.text.startswith(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")), "the page opens with its title"
    for part in ("Definition", "Gradient", "Shapes", "Source"):
        assert part in page.text, f"the page says nothing of {part}"
    assert "arXiv" in page.text or "doi" in page.text, "the page names no arXiv number or doi"
    assert {"definition", "gradient"} == page.tex.keys(), "the page declares no formulas, tex={definition, gradient}"


def _name_of_tiles(page):
    assert all((p.name == "tile") == (p.annotation is Tile) for p in page.parameters.values())


def _refused(pattern, call):
    """Assert that a call raises a ValueError of one line that matches."""
    try:
        call()
    except ValueError as error:
        assert re.search(pattern, str(error)) and "\n" not in str(error), f"{error!r}, expected {pattern}"
    else:
        raise AssertionError(f"nothing was refused, expected {pattern}")


def _bad_input(page):
    rng = np.random.default_rng(8)
    good = sample_inputs(page, rng)
    tried = 0
    for p in page.parameters.values():
        if p.annotation.optional:
            continue
        for _, value in wrong_values(p.annotation, rng, sizes_of(page)):
            _refused(rf"^{page.name}: {p.name}: got .+, expected .+", partial(page, **{**good, p.name: value}))
            tried += 1
    assert tried >= 4


def _unfit_arguments(page):
    """Sizes that do not match, unknown and missing arguments."""
    good = sample_inputs(page, np.random.default_rng(9))
    seen = set()
    for p in page.arrays:
        if p.name not in good:
            continue
        shared = [axis for axis, letter in enumerate(p.annotation.letters) if letter in seen]
        for axis in shared:
            longer = np.concatenate([good[p.name], np.take(good[p.name], [0], axis=axis)], axis=axis)
            _refused(rf"^{page.name}: {p.name}: got shape", partial(page, **{**good, p.name: longer}))
        seen.update(p.annotation.letters)
    _refused(rf"^{page.name}: ", partial(page, **good, no_such_parameter=1))
    _refused(rf"^{page.name}: ", page)


def _not_finite(page, bad):
    good = sample_inputs(page, np.random.default_rng(10))
    for p in page.arrays:
        if p.name in good and good[p.name].dtype == np.float64:
            spoiled = good[p.name].copy()
            spoiled[(0,) * spoiled.ndim] = bad
            call = partial(page.value_and_grad, **{**good, p.name: spoiled})
            _refused(rf"^{page.name}: {p.name}: got a NaN or an infinity", call)


def _value_and_grad(page):
    good = sample_inputs(page, np.random.default_rng(11))
    value, gradients = page.value_and_grad(**good)
    assert value.shape == (), f"value has shape {value.shape}"
    expected = [n for n in page.differentiable if not page.parameters[n].annotation.optional]
    assert list(gradients) == expected, f"gradients of {list(gradients)}, expected {expected}"
    assert all(np.isfinite(g).all() for g in gradients.values()), "a gradient is not finite"
    _, from_definition = page.definition_and_grad(**good)
    assert list(from_definition) == expected, f"from the definition: {list(from_definition)}, expected {expected}"
