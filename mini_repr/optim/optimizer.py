"""What every optimiser shares: which parameters decay, gradients to clear, state to save and restore.

A parameter whose gradient is None is skipped: neither its values nor its state move. The state of a parameter is its
moments and its own count of updates, so that one that joins late gets its own bias correction.
"""

import math

from mini_repr.backend import CPU, backend_of


def decays(name, tensor, exclude=()):
    """Whether weight decay applies: to parameters of two or more axes that are not excluded by name.

    So matrices and kernels decay; biases, the gains and biases of norms, and scalars (a temperature) do not.
    ``exclude`` holds full parameter names or last parts of dotted names ("tokens" covers "encoder.tokens").
    """
    return tensor.ndim >= 2 and name not in exclude and name.rpartition(".")[2] not in exclude


class Optimizer:
    """Base of the optimisers: a subclass declares its arguments, names its moments and writes ``_update``.

    Args:
        parameters: dict name -> Tensor with floating-point data.
        lr: learning rate; ``step(lr=...)`` overrides it for one step.
        weight_decay: coefficient, applied where ``decays`` says so.
        exclude: names that do not decay, see ``decays``.
        moments: names of the arrays that are kept for each parameter, zero at first.
    Raises:
        ValueError: no parameters, or ``exclude`` is a string.
    """

    def __init__(self, parameters, lr, weight_decay, exclude, moments):
        if not parameters:
            raise ValueError(f"{self.page.title}: parameters: got none, expected one or more")
        self.parameters = dict(parameters)
        self.lr, self._weight_decay = lr, weight_decay
        if isinstance(exclude, str):
            raise ValueError(f"{self.page.title}: exclude: got the string {exclude!r}, expected a collection of names")
        self._exclude = frozenset(exclude)
        self._steps = dict.fromkeys(self.parameters, 0)
        self._moments = {
            moment: {name: backend_of(p.data).xp.zeros_like(p.data) for name, p in self.parameters.items()}
            for moment in moments
        }

    def step(self, lr=None):
        """Update ``.data`` of every parameter that has a gradient, in place."""
        lr = self.lr if lr is None else lr
        if not 0.0 <= lr < math.inf:
            raise ValueError(f"{self.page.title}: lr: got {lr}, expected a number (>= 0)")
        table = []
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            self._steps[name] += 1
            weight_decay = self._weight_decay if decays(name, parameter, self._exclude) else 0.0
            kernel, numbers = self._update(lr, weight_decay, self._steps[name])
            arrays = [parameter.grad, parameter.data, *(kept[name] for kept in self._moments.values())]
            table.append((numbers, arrays))
        if table:
            kernel.each(backend_of(arrays[0]), table)

    def _update(self, lr, weight_decay, step):
        """(kernel, numbers) of a parameter's update number ``step`` (from 1).

        The kernel, one for all parameters, is a ``Fused`` formula of the numbers, then grad, data and the moments.
        """
        raise NotImplementedError

    def zero_grad(self):
        """Forget all gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def state_dict(self):
        """Copies of all state on the host: ``"<moment>.<name>"`` arrays and ``"steps.<name>"`` update counts."""
        state = {
            f"{moment}.{name}": backend_of(array).to_numpy(array).copy()
            for moment, kept in self._moments.items()
            for name, array in kept.items()
        }
        return state | {f"steps.{name}": CPU.asarray(count, dtype="int64") for name, count in self._steps.items()}

    def load_state_dict(self, state):
        """Restore what ``state_dict`` returned, bit for bit.

        Raises:
            ValueError: names are missing or unexpected, or an array has another shape or dtype; nothing is changed.
        """
        targets = {f"{moment}.{name}": a for moment, kept in self._moments.items() for name, a in kept.items()}
        counts = {f"steps.{name}": name for name in self._steps}
        expected = targets.keys() | counts.keys()
        for problem, names in (("misses", expected - state.keys()), ("has unexpected", state.keys() - expected)):
            if names:
                raise ValueError(f"{self.page.title}: state {problem} {', '.join(sorted(names))}")
        for key in sorted(expected):
            shape, dtype = (targets[key].shape, targets[key].dtype) if key in targets else ((), "int64")
            if state[key].shape != shape or state[key].dtype != dtype:
                came = f"shape {state[key].shape}, dtype {state[key].dtype}"
                raise ValueError(f"{self.page.title}: state {key}: got {came}, expected shape {shape}, dtype {dtype}")
        for key, target in targets.items():
            target[...] = backend_of(target).asarray(state[key])
        for key, name in counts.items():
            self._steps[name] = int(state[key])
