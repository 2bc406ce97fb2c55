"""Python's operators for tensors, each one a primitive."""

from mini_repr.autograd.primitives import elementwise, linear_algebra, reduction, shape
from mini_repr.autograd.tensor import Tensor


def _reflected(operation):
    return lambda self, other: operation(other, self)


for _name, _operation in {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "matmul": linear_algebra.matmul,
}.items():
    setattr(Tensor, f"__{_name}__", _operation)
    setattr(Tensor, f"__r{_name}__", _reflected(_operation))

Tensor.__neg__ = elementwise.negative
Tensor.__pow__ = elementwise.power
Tensor.__getitem__ = shape.getitem
Tensor.reshape = lambda self, *sizes: shape.reshape(self, sizes[0] if isinstance(sizes[0], tuple) else sizes)
Tensor.transpose = lambda self, *axes: shape.transpose(self, axes=axes or None)
Tensor.T = property(shape.transpose)
Tensor.sum = reduction.sum
Tensor.mean = reduction.mean
Tensor.max = reduction.max
Tensor.min = reduction.min
