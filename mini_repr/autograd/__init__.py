"""A small reverse-mode automatic differentiation engine over NumPy and CuPy arrays.

A primitive is a function from arrays to ``(output, backward)``; the engine records which was called on which tensors
and calls their backward functions in reverse. Read ``tensor.py`` (the backward pass), ``primitive.py`` (the contract),
then any file in ``primitives/``.
"""

from mini_repr.autograd import operators as _operators  # attaches +, @, [] ... to Tensor
from mini_repr.autograd.functional import value_and_grad
from mini_repr.autograd.gradcheck import gradcheck
from mini_repr.autograd.primitive import primitive, record, value_of
from mini_repr.autograd.primitives.attention import attention, self_attention
from mini_repr.autograd.primitives.elementwise import (
    absolute,
    add,
    arccos,
    cast,
    clip,
    cos,
    divide,
    exp,
    gelu,
    gelu_erf,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    subtract,
    tanh,
    where,
)
from mini_repr.autograd.primitives.linear_algebra import (
    cholesky,
    diagonal,
    eigh,
    eigvalsh,
    inverse,
    linear,
    linear_layers,
    log_determinant,
    matmul,
    solve_triangular,
)
from mini_repr.autograd.primitives.normalisation import (
    batch_norm,
    layer_norm,
    modulated_norm,
    standardise_columns,
    unit_rows,
)
from mini_repr.autograd.primitives.reduction import logsumexp, max, mean, min, sum
from mini_repr.autograd.primitives.shape import (
    broadcast_to,
    concatenate,
    getitem,
    off_diagonal,
    reshape,
    scatter_rows,
    split,
    stack,
    take_along,
    transpose,
)
from mini_repr.autograd.primitives.softmax import log_softmax, softmax
from mini_repr.autograd.primitives.sparsemax import sparsemax
from mini_repr.autograd.primitives.transformer import (
    adaptive_attention_branch,
    adaptive_mlp_branch,
    attention_branch,
    mlp_branch,
)
from mini_repr.autograd.tensor import Tensor, enable_grad, no_grad, stop_gradient
