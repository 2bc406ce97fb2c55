"""Call a user's loss in its own framework; value and gradients come back as NumPy arrays.

Each framework is imported when its adapter is made, never before. All have one method: ``evaluate(arguments)``.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.conformance.binding import call_with
from mini_repr.conformance.user_code import Unusable, one_line


class Outcome(NamedTuple):
    """The result of one call: the value, {name: gradient} (None where there are only values), the value's dtype."""

    value: float
    gradients: dict | None
    dtype: np.dtype


class Raised(Exception):
    """The user's callable raised; carries one line that says what."""


class Adapter:
    """One callable in one framework.

    Args:
        loss: the page. target, binding: see ``user_code`` and ``binding``.
        wanted: names of the arguments whose gradient to ask for. values_only: ask for none.
    """

    def __init__(self, loss, target, binding, wanted, values_only=False):
        self.loss = loss
        self.target = target
        self.binding = binding
        self.wanted = [] if values_only else [name for name in wanted if binding.takes(name)]
        self.as_numbers = set()  # learned scalars that the callable only takes as plain numbers

    def evaluate(self, arguments):
        """Value and gradients at one case's arguments {name: host array or setting}, defaults filled in.

        Raises:
            Raised: the callable did. Unusable: something else than one number came back.
        """
        dtype = self.binding.layout.dtype
        if dtype:
            arguments = {n: x.astype(dtype) if _is_float(x) else x for n, x in arguments.items()}
        values = {name: arguments[name] for name in self.binding.names if arguments.get(name) is not None}
        return self._evaluate(values, arguments)

    def settle(self, arguments):
        """The first call: find out whether learned scalars may come as arrays, and refuse what cannot be checked.

        Raises:
            Unusable: the callable raises, or gives something else than a number.
        """
        scalars = [
            n for n in self.wanted if n in self.binding.names and not self.loss.parameters[n].annotation.is_array
        ]
        try:
            try:
                outcome = self.evaluate(arguments)
            except (Raised, Unusable):
                if not scalars:
                    raise
                self.as_numbers.update(scalars)
                outcome = self.evaluate(arguments)
        except Raised as raised:
            raise Unusable(f"{self.target.label}: raised {raised}") from None
        if outcome.gradients is None:
            self.wanted = []
        return outcome

    def _call(self, values):
        """What the callable returns for the values: of one call, or the mean of the calls for both sides."""
        sides = self.binding.sides
        arrays = {n for side in sides for n in side}
        calls = [{n: v for n, v in values.items() if n in side or n not in arrays} for side in sides]
        returned = [self._call_once(self.binding.layout.arranged(self.loss, call, self._stack)) for call in calls]
        return returned[0] if len(returned) == 1 else sum(returned) / len(returned)

    def _call_once(self, values):
        try:
            with np.errstate(all="ignore"):  # what overflows is judged by what comes out
                returned = call_with(self.target, self.binding, values)
        except Unusable:
            raise
        except Exception as error:
            raise Raised(f"{one_line(error)}; it was given {_described(values)}") from None
        return self._value_among(returned)

    def _value_among(self, returned):
        """The loss among what a callable returns besides: the first of several, or what a dict calls ``loss``."""
        if isinstance(returned, dict) and "loss" in returned:
            return returned["loss"]
        return returned[0] if isinstance(returned, tuple | list) and returned else returned

    def _is_differentiated(self, name):
        return name in self.wanted and name not in self.as_numbers

    def _one_number(self, shape, found):
        if int(np.prod(shape)) != 1:
            raise Unusable(
                f"{self.target.label}: returned {found} of shape {tuple(shape)}, expected one number; "
                "reduce it (mean or sum) as the loss does"
            )

    def _wrong_kind(self, found, expected):
        return Unusable(f"{self.target.label}: returned a {type(found).__name__}, expected {expected}")

    def _shaped(self, name, gradient, like):
        gradient = np.asarray(gradient, dtype=np.float64)
        if gradient.shape != np.shape(like):
            raise Unusable(
                f"{self.target.label}: its gradient of {name} has shape {gradient.shape}, expected {np.shape(like)}"
            )
        return gradient


def _is_float(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _described(values):
    """``a: float64 (6, 5), temperature: 0.1``: what went into a call."""
    return ", ".join(f"{name}: {_in_short(value)}" for name, value in values.items())


def _in_short(value):
    if isinstance(value, list):
        return f"a list of {len(value)} times {_in_short(value[0])}"
    if not hasattr(value, "shape"):
        return repr(value)
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


class NumpyAdapter(Adapter):
    """Takes NumPy arrays; returns a number, or ``(number, gradients)`` with gradients as a dict or in order."""

    def _evaluate(self, values, arguments):
        returned = self._call({n: v.copy(order="K") if isinstance(v, np.ndarray) else v for n, v in values.items()})
        gradients = None
        if isinstance(returned, tuple) and len(returned) == 2:
            returned, gradients = returned
        try:
            value = np.asarray(returned)
        except ValueError:
            value = None
        if value is None or value.dtype.kind not in "fiu":
            raise self._wrong_kind(returned, "a number, or (number, gradients)")
        self._one_number(value.shape, "an array")
        if not self.wanted or gradients is None:
            gradients = None
        else:
            gradients = self._named(gradients)
            gradients = {n: self._shaped(n, g, values[n]) for n, g in gradients.items()}
        return Outcome(float(value.reshape(())), gradients, value.dtype)

    def _stack(self, arrays):
        return np.stack(arrays, axis=1)

    def _value_among(self, returned):
        """A tuple of two is (number, gradients)."""
        return returned if isinstance(returned, tuple) and len(returned) == 2 else super()._value_among(returned)

    def _named(self, given):
        """Gradients under the loss's names, from a dict, a sequence or one array."""
        differentiable = [n for n in self.wanted if n in self.loss.differentiable]
        if isinstance(given, dict):
            ours = {n: n for n in self.loss.parameters} | {theirs: n for n, theirs in self.binding.names.items()}
            unknown = [n for n in given if n not in ours]
            if unknown:
                raise Unusable(f"{self.target.label}: returned a gradient of {unknown[0]!r}, expected {differentiable}")
            return {ours[n]: g for n, g in given.items() if ours[n] in self.wanted}
        if isinstance(given, np.ndarray) and len(differentiable) >= 1:
            given = (given,)
        if not isinstance(given, tuple | list) or len(given) > len(differentiable):
            raise self._wrong_kind(given, f"one gradient for each of {', '.join(differentiable)}")
        return dict(zip(differentiable, given, strict=False))


class TorchAdapter(Adapter):
    """Takes torch tensors; gradients by torch autograd. A module is moved to each case's dtype."""

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        import torch

        self.torch = torch

    def _evaluate(self, values, arguments):
        torch = self.torch
        dtype = next(v.dtype for v in values.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f")
        torch_dtype = torch.float32 if dtype == np.float32 else torch.float64
        if isinstance(self.target.call, torch.nn.Module):
            self.target.call.to(torch_dtype)
        given, leaves = {}, {}
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value = torch.from_numpy(value.copy(order="K"))
            elif self._is_differentiated(name):
                value = torch.tensor(value, dtype=torch_dtype)
            if self._is_differentiated(name):
                leaves[name] = value.requires_grad_(True)
            given[name] = value
        for name, attribute in self.binding.attributes.items():
            stored = getattr(self.target.call, attribute)
            with torch.no_grad():
                stored.fill_(float(arguments[name]))
            if name in self.wanted:
                leaves[name] = stored
        value = self._call(given)
        if not isinstance(value, torch.Tensor):
            raise self._wrong_kind(value, "a torch tensor with one element")
        self._one_number(value.shape, "a tensor")
        gradients = self._gradients(value, leaves) if self.wanted else None
        host = value.detach().cpu()
        return Outcome(float(host), gradients, np.dtype("float64" if host.dtype == torch.float64 else "float32"))

    def _stack(self, tensors):
        return self.torch.stack(tensors, dim=1)

    def _gradients(self, value, leaves):
        if not value.requires_grad:
            raise Unusable(
                f"{self.target.label}: its value does not depend on {', '.join(leaves)} through torch autograd; "
                "compare values alone with --values-only"
            )
        try:
            found = self.torch.autograd.grad(value.reshape(()), list(leaves.values()), allow_unused=True)
        except RuntimeError as error:
            raise Raised(f"in backward: {one_line(error)}") from None
        gradients = {}
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True):
            is_number = not self.loss.parameters[name].annotation.is_array
            if gradient is None and is_number and not self.loss.parameters[name].annotation.learned:
                continue  # turned into a plain number inside: a constant of theirs
            gradient = self.torch.zeros_like(leaf) if gradient is None else gradient
            gradients[name] = gradient.reshape(leaf.shape).detach().cpu().double().numpy().copy()
        return {
            n: g.reshape(()) if not self.loss.parameters[n].annotation.is_array else g for n, g in gradients.items()
        }


class JaxAdapter(Adapter):
    """Takes JAX arrays (64-bit mode is switched on); gradients by ``jax.grad``."""

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax = jax

    def _evaluate(self, values, arguments):
        jnp = self.jax.numpy
        dtype = next(v.dtype for v in values.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f")
        given, leaves = {}, {}
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value = jnp.asarray(np.ascontiguousarray(value))
            elif self._is_differentiated(name):
                value = jnp.asarray(value, dtype=dtype)
            (leaves if self._is_differentiated(name) else given)[name] = value

        def of_leaves(leaves):
            value = self._call({**given, **leaves})
            if not isinstance(value, self.jax.Array):
                raise self._wrong_kind(value, "a JAX array with one element")
            self._one_number(value.shape, "an array")
            return value.reshape(())

        if not leaves:
            value = of_leaves({})
            return Outcome(float(value), None, np.dtype(value.dtype))
        value, gradients = self.jax.value_and_grad(of_leaves)(leaves)
        gradients = {n: np.array(g, dtype=np.float64) for n, g in gradients.items()}
        return Outcome(float(value), gradients, np.dtype(value.dtype))

    def _stack(self, arrays):
        return self.jax.numpy.stack(arrays, axis=1)


ADAPTERS = {"numpy": NumpyAdapter, "torch": TorchAdapter, "jax": JaxAdapter}


def adapter_for(framework, *args, **params):
    """The adapter of a framework by name.

    Raises:
        Unusable: no such framework, or it is not installed here.
    """
    if framework not in ADAPTERS:
        raise Unusable(f"--framework {framework}: expected one of {', '.join(ADAPTERS)}")
    try:
        adapter = ADAPTERS[framework](*args, **params)
    except ImportError as error:
        raise Unusable(f"{framework} cannot be imported here: {one_line(error)}") from None
    adapter.framework = framework
    return adapter
