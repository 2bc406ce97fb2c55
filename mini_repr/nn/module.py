"""The base of all modules: finds parameters and buffers by walking attributes; no registration, no magic."""

import copy

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of


class Module:
    """Holds parameters and buffers, and computes something with them when called.

    A *parameter* is any ``Tensor`` attribute; a *sub-module* any ``Module`` attribute; both are also found in lists,
    tuples and dicts. A *buffer* is an array that no gradient moves but that belongs to the state (running statistics,
    a queue): it is announced by ``register_buffer``. Names are paths, ``"blocks.0.norm.gain"``, in the order in which
    the attributes were first set. What is reachable by two paths is listed once, under the first.

    Modules are made on the host from a ``numpy.random.Generator``, then moved with ``to(backend)``.
    """

    training = True
    _buffers = ()

    def __call__(self, *args, **params):
        return self.forward(*args, **params)

    def forward(self, *args, **params):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def named_parameters(self):
        """{path: Tensor}, in a stable order."""
        return {name: thing for name, thing in _walk(self) if isinstance(thing, Tensor)}

    def named_modules(self):
        """{path: Module}, this module first, under ""."""
        return dict(self._modules())

    def parameters(self):
        """The parameters as a list."""
        return list(self.named_parameters().values())

    def parameter_count(self):
        """Number of elements of all parameters that require a gradient."""
        return sum(p.size for p in self.parameters() if p.requires_grad)

    def zero_grad(self):
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def register_buffer(self, name, array):
        """Set ``array`` as attribute ``name`` and count it among the module's state."""
        setattr(self, name, array)
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)

    def named_buffers(self):
        """{path: array}, in a stable order."""
        return {
            _join(path, name): getattr(module, name) for path, module in self._modules() for name in module._buffers
        }

    def state_dict(self):
        """{path: copy on the host} of all parameters, then all buffers."""
        arrays = {name: p.data for name, p in self.named_parameters().items()} | self.named_buffers()
        return {name: np.array(backend_of(array).to_numpy(array), copy=True) for name, array in arrays.items()}

    def load_state_dict(self, state):
        """Write what ``state_dict`` returned into the parameters and buffers, in place, wherever they live.

        Raises:
            ValueError: names are missing or unexpected, or an array has another shape or dtype; nothing is changed.
        """
        targets = {name: p.data for name, p in self.named_parameters().items()} | self.named_buffers()
        kind = type(self).__name__
        for problem, names in (
            ("misses", targets.keys() - state.keys()),
            ("has unexpected", state.keys() - targets.keys()),
        ):
            if names:
                raise ValueError(f"{kind}: state {problem} {', '.join(sorted(names))}")
        for name, target in targets.items():
            if state[name].shape != target.shape or state[name].dtype != target.dtype:
                raise ValueError(
                    f"{kind}: state {name} must have shape {target.shape} and dtype {target.dtype}, "
                    f"got {state[name].shape} and {state[name].dtype}"
                )
        for name, target in targets.items():
            target[...] = backend_of(target).asarray(state[name])

    def to(self, backend):
        """Move all parameters and buffers to ``backend`` and forget gradients; returns the module itself."""
        for parameter in self.parameters():
            parameter.data, parameter.grad = _moved(parameter.data, backend), None
        for _, module in self._modules():
            for name in module._buffers:
                setattr(module, name, _moved(getattr(module, name), backend))
        return self

    def train(self, mode=True):
        """Training mode for this module and all within (or evaluation mode: ``mode=False``); returns the module."""
        for _, module in self._modules():
            module.training = mode
        return self

    def eval(self):
        """Evaluation mode: dropout off, batch norm by running statistics; returns the module."""
        return self.train(False)

    def random_state(self):
        """{path: state} of every random generator within, as plain values that JSON can hold."""
        return {name: g.bit_generator.state for name, g in self._generators().items()}

    def set_random_state(self, state):
        """Restore what ``random_state`` returned.

        Raises:
            ValueError: the module's generators have other names.
        """
        generators = self._generators()
        if generators.keys() != state.keys():
            raise ValueError(
                f"{type(self).__name__}: random state is of {sorted(state)}, the generators are {sorted(generators)}"
            )
        for name, generator in generators.items():
            generator.bit_generator.state = state[name]

    def _modules(self):
        return [(name, thing) for name, thing in _walk(self) if isinstance(thing, Module)]

    def _generators(self):
        return {name: thing for name, thing in _walk(self) if isinstance(thing, np.random.Generator)}


def copy_of(module):
    """A deep copy that no gradient reaches, for teachers: ``requires_grad=False``, its own buffers and generators."""
    twin = copy.deepcopy(module)
    for parameter in twin.parameters():
        parameter.requires_grad, parameter.grad = False, None
    return twin


def _walk(thing, path="", seen=None):
    """Yield (path, thing) for every module, tensor and generator reachable from a module, each once."""
    seen = set() if seen is None else seen
    if isinstance(thing, Module | Tensor | np.random.Generator):
        if id(thing) in seen:
            return
        seen.add(id(thing))
        yield path, thing
    if isinstance(thing, Module):
        parts = vars(thing).items()
    elif isinstance(thing, dict):
        parts = thing.items()
    elif isinstance(thing, list | tuple):
        parts = enumerate(thing)
    else:
        return
    for name, part in parts:
        yield from _walk(part, _join(path, name), seen)


def _join(path, name):
    return f"{path}.{name}" if path else str(name)


def _moved(array, backend):
    here = backend_of(array)
    return array if here is backend else backend.asarray(here.to_numpy(array))
