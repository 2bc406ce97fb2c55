"""Every primitive with sample calls, and the checks that a sample must pass on any backend.

A float64 array among a sample's arguments is differentiated; everything else is constant.
"""

import importlib
import pkgutil
from dataclasses import dataclass, field

import numpy as np

from mini_repr import autograd, kernels
from mini_repr.autograd import Tensor, gradcheck
from mini_repr.backend import CPU, is_array


@dataclass(frozen=True)
class Sample:
    """``make(rng)`` draws the arguments. ``outputs``: how many of the outputs carry gradients (None: all)."""

    what: str
    make: object
    params: dict = field(default_factory=dict)
    outputs: int | None = None
    analytic: bool = True  # accepts complex arguments, as an analytic function of them
    symmetric: bool = False  # defined on symmetric matrices only: differences must stay among them
    stepped: bool = True  # whether finite differences make sense (not where values are huge)

    def arguments(self, seed=0):
        made = self.make(np.random.default_rng(seed))
        made = made if isinstance(made, tuple) else (made,)
        return [np.asarray(x) if isinstance(x, np.floating) else x for x in made]


def normal(*shape):
    return lambda rng: rng.standard_normal(shape)


def both(*shapes):
    return lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)


def positive(*shape):
    return lambda rng: rng.uniform(0.5, 2.0, shape)


def inside(*shape):
    return lambda rng: rng.uniform(-0.9, 0.9, shape)


def spread(*shape):
    """Distinct values at least 0.15 apart and at least 0.05 from zero: no kink within reach of a difference."""

    def make(rng):
        size = int(np.prod(shape))
        return (0.2 * (rng.permutation(size) - size // 2) + 0.1 + rng.uniform(-0.02, 0.02, size)).reshape(shape)

    return make


def apart(*shapes):
    """Two broadcastable arrays whose elements never meet: multiples of 0.2, and those plus 0.1."""
    return lambda rng: (0.2 * rng.integers(-5, 5, shapes[0]).astype(float), 0.2 * rng.integers(-5, 5, shapes[1]) + 0.1)


def symmetric(*shape):
    def make(rng):
        a = rng.standard_normal(shape)
        return a + np.swapaxes(a, -1, -2)

    return make


def definite(*shape):
    def make(rng):
        a = rng.standard_normal(shape)
        return a @ np.swapaxes(a, -1, -2) / shape[-1] + np.eye(shape[-1])

    return make


def constants(make, *more):
    """The arrays of ``make``, then constants."""

    def made(rng):
        first = make(rng)
        return (*(first if isinstance(first, tuple) else (first,)), *more)

    return made


def elementwise(make=normal):
    return [
        Sample("matrix", make(3, 4)),
        Sample("0-d", make()),
        Sample("empty", make(0, 3)),
        Sample("not contiguous", lambda rng: make(4, 6)(rng).T[::2]),
    ]


def binary(make=both):
    return [
        Sample("same shape", make((3, 4), (3, 4))),
        Sample("row", make((3, 4), (4,))),
        Sample("both stretched", make((3, 1), (1, 4))),
        Sample("0-d", make((3, 4), ())),
        Sample("number", constants(lambda rng: make((3, 4), ())(rng)[0], 0.7)),
        Sample("more axes", make((4,), (2, 3, 4))),
        Sample("empty", make((0, 4), (4,))),
        Sample("not contiguous", lambda rng: tuple(x.T for x in make((4, 3), (4, 3))(rng))),
    ]


def positive_second(*shapes):
    return lambda rng: (rng.standard_normal(shapes[0]), rng.uniform(0.5, 2.0, shapes[1]))


def reductions(make):
    axes = {"all": None, "first": 0, "last": -1, "two": (0, 2)}
    return [
        Sample(f"{what} axes, keepdims={keep}", make(2, 3, 4), {"axis": axis, "keepdims": keep})
        for what, axis in axes.items()
        for keep in (False, True)
    ] + [
        Sample("0-d", make()),
        Sample("not contiguous", lambda rng: make(3, 4)(rng).T, {"axis": 0}),
        Sample("no rows", make(0, 3), {"axis": 1}),
    ]


def rows(make=normal):
    return [
        Sample("matrix", make(4, 5)),
        Sample("stack", make(2, 3, 5)),
        Sample("one row", make(5)),
        Sample("one column", make(4, 2)),
        Sample("not contiguous", lambda rng: make(5, 4)(rng).T),
        Sample("no rows", make(0, 5)),
    ]


def triangular(lower):
    def make(rng):
        a = rng.standard_normal((4, 4)) + 4 * np.eye(4)
        return a, rng.standard_normal((4, 3))  # the other triangle is there and must not be read

    return Sample(f"lower={lower}", make, {"lower": lower})


def kernel(what, make, outputs=None, **params):
    """A sample of a kernel: real arrays only."""
    return Sample(what, make, params, outputs, analytic=False)


def logits(*shapes, scale=2.0):
    """Rows of length about 1, and the scale of their products."""
    return lambda rng: (*(rng.standard_normal(shape) / 2 for shape in shapes), np.float64(scale))


def further_logits(*shapes):
    """``logits`` with the last rows behind the scale."""

    def drawn(rng):
        *rows, further, scale = logits(*shapes)(rng)
        return *rows, scale, further

    return drawn


TRIPLETS = {
    "labels": np.array([0, 0, 1, 1, 1, 2]),
    "anchors": np.arange(6),
    "others": np.ones(6, dtype=bool),
    "margin": 0.3,
}
MASK = np.array([[True, False, True], [False, False, False], [True, True, True], [False, True, False]])
ATTENTION_MASK = np.random.default_rng(5).random((2, 1, 3, 4)) < 0.6
ATTENTION_MASK[0, 0, 1] = False  # a query that may look nowhere
BRANCH_SHAPES = [(4,), (4,), (4, 12), (12,), (4, 4), (4,)]
MODULATION = [(2, 4)] * 3  # scale, shift and gate of two inputs
MLP_WEIGHTS = both((4,), (4,), (4, 6), (6,), (6, 4), (4,))

TABLE = {
    "add": binary(),
    "subtract": binary(),
    "multiply": binary(),
    "divide": binary(positive_second),
    "negative": elementwise(),
    "power": [
        *(Sample(f"to the {e}", constants(positive(3, 4), e)) for e in (2, 3, 0.5, -1, -1.5, 0)),
        Sample("square of any sign", constants(normal(3), 2)),
        Sample("0-d", constants(positive(), 3)),
    ],
    "exp": elementwise(),
    "log": elementwise(positive),
    "log1p": elementwise(positive),
    "sqrt": elementwise(positive),
    "sin": elementwise(),
    "cos": elementwise(),
    "arccos": elementwise(inside),
    "tanh": elementwise(),
    "sigmoid": [*elementwise(), Sample("far out", lambda rng: np.array([-800.0, 800.0, 30.0]))],
    "softplus": [*elementwise(), Sample("far out", lambda rng: np.array([-800.0, 800.0, 30.0]))],
    "absolute": elementwise(spread),
    "relu": elementwise(spread),
    "gelu": [*elementwise(), Sample("many blocks", normal(2000, 40), analytic=False)],
    "gelu_erf": elementwise(),
    "maximum": binary(apart),
    "minimum": binary(apart),
    "where": [
        Sample("matrix", lambda rng: (MASK, *both((4, 3), (4, 3))(rng))),
        Sample("stretched", lambda rng: (MASK, *both((3,), (4, 1))(rng))),
        Sample("number", lambda rng: (MASK, rng.standard_normal((4, 3)), 0.0)),
        Sample("column condition", lambda rng: (MASK[:, :1], *both((4, 3), ())(rng))),
    ],
    "clip": [
        Sample("matrix", constants(spread(3, 4), -0.65, 0.75)),
        Sample("0-d", constants(spread(), -0.65, 0.75)),
    ],
    "cast": [Sample("to the same", constants(normal(3, 2), np.float64), analytic=False)],
    "matmul": [
        Sample("matrices", both((3, 4), (4, 2))),
        Sample("stacks", both((2, 3, 4), (2, 4, 2))),
        Sample("stack and matrix", both((2, 3, 4), (4, 2))),
        Sample("stretched stacks", both((2, 1, 3, 4), (5, 4, 2))),
        Sample("not contiguous", lambda rng: (rng.standard_normal((4, 3)).T, rng.standard_normal((2, 4)).T)),
        Sample("no rows", both((0, 4), (4, 2))),
    ],
    "linear": [
        Sample("rows", both((5, 4), (4, 3), (3,))),
        Sample("wide", both((2, 3, 4), (4, 6), (6,))),
        Sample("narrow", both((2, 3, 4), (4, 2), (2,))),
        Sample("no bias", constants(both((5, 4), (4, 3)), None)),
        Sample("one row", both((4,), (4, 3), (3,))),
        Sample("not contiguous", lambda rng: (rng.standard_normal((4, 5)).T, *both((4, 3), (3,))(rng))),
    ],
    "linear_layers": [
        Sample("relu", both((5, 4), (4, 3), (3,), (3, 6), (6,), (6, 2), (2,))),
        Sample("tanh", both((2, 3, 4), (4, 3), (3,), (3, 2), (2,)), {"activation": "tanh"}),
        Sample("no bias", lambda rng: (*both((5, 4), (4, 3))(rng), None, *both((3, 2))(rng), None)),
        Sample("no rows", both((0, 4), (4, 3), (3,), (3, 2), (2,))),
        Sample("one layer", both((5, 4), (4, 3), (3,))),
        Sample("not contiguous", lambda rng: (normal(4, 5)(rng).T, *both((4, 3), (3,), (3, 2), (2,))(rng))),
    ],
    "cholesky": [Sample("matrix", definite(4, 4), analytic=False, symmetric=True)],
    "solve_triangular": [triangular(True), triangular(False)],
    "inverse": [Sample("matrix", definite(3, 3)), Sample("stack", definite(2, 3, 3))],
    "log_determinant": [
        Sample("matrix", definite(3, 3), analytic=False),
        Sample("stack", definite(2, 3, 3), analytic=False),
    ],
    "eigvalsh": [Sample("matrix", symmetric(4, 4), analytic=False, symmetric=True)],
    "eigh": [Sample("matrix", symmetric(4, 4), analytic=False, symmetric=True)],
    "diagonal": [Sample("matrix", normal(4, 4)), Sample("transposed", lambda rng: normal(3, 3)(rng).T)],
    "off_diagonal": [Sample("matrix", normal(4, 4)), Sample("one row", normal(1, 1))],
    "sum": reductions(normal),
    "mean": reductions(normal),
    "max": reductions(spread),
    "min": reductions(spread),
    "logsumexp": [
        *reductions(normal),
        Sample("far out", lambda rng: np.array([[900.0, 901.0], [-900.0, -901.0]]), {"axis": 1}, stepped=False),
    ],
    "softmax": [*rows(), Sample("far out", lambda rng: np.array([[900.0, 901.0], [-900.0, -901.0]]), stepped=False)],
    "log_softmax": [
        *rows(),
        Sample("far out", lambda rng: np.array([[900.0, 901.0], [-900.0, -901.0]]), stepped=False),
    ],
    "sparsemax": [*rows(spread)],
    "unit_rows": [*rows(), Sample("eps above the norm", lambda rng: normal(3, 4)(rng) * 0.01, {"eps": 1.0})],
    "layer_norm": [
        Sample("matrix", both((4, 5), (5,), (5,))),
        Sample("stack", both((2, 3, 5), (5,), (5,))),
        Sample("not contiguous", lambda rng: (normal(5, 4)(rng).T, *both((5,), (5,))(rng))),
        Sample("large eps", both((4, 5), (5,), (5,)), {"eps": 0.5}),
        Sample("no rows", both((0, 5), (5,), (5,))),
    ],
    "modulated_norm": [
        Sample("stack", both((2, 3, 5), (2, 5), (2, 5))),
        Sample("one row an input", both((3, 1, 4), (3, 4), (3, 4))),
        Sample("not contiguous", lambda rng: (normal(5, 3, 2)(rng).T, *both((2, 5), (2, 5))(rng))),
        Sample("large eps", both((2, 3, 5), (2, 5), (2, 5)), {"eps": 0.5}),
    ],
    "batch_norm": [
        Sample("matrix", both((6, 3), (3,), (3,)), outputs=1),
        Sample("no affine", constants(normal(6, 3), 1.0, 0.0), outputs=1),
        Sample("two rows", both((2, 3), (3,), (3,)), {"eps": 0.1}, outputs=1),
    ],
    "standardise_columns": [
        Sample("matrix", normal(6, 3)),
        Sample("unbiased", normal(6, 3), {"ddof": 1}),
        Sample("eps", normal(6, 3), {"eps": 0.3}),
    ],
    "attention": [
        Sample("one head", both((2, 3, 4), (2, 5, 4), (2, 5, 4))),
        Sample("heads", both((2, 3, 4), (2, 3, 4), (2, 3, 4)), {"heads": 2}),
        Sample("mask", lambda rng: (*both((2, 3, 4), (2, 4, 4), (2, 4, 4))(rng), ATTENTION_MASK), {"heads": 2}),
        Sample("sparse", both((2, 3, 4), (2, 7, 4), (2, 7, 4)), {"heads": 2, "sparse": True}),
        Sample(
            "sparse, mask",
            lambda rng: (*both((2, 3, 4), (2, 4, 4), (2, 4, 4))(rng), ATTENTION_MASK),
            {"heads": 2, "sparse": True},
        ),
        Sample("strided", lambda rng: tuple(normal(2, 4, 3)(rng).swapaxes(1, 2) for _ in range(3)), {"heads": 2}),
    ],
    "self_attention": [
        Sample("sparse, one place", normal(3, 1, 12), {"heads": 2, "sparse": True}),
        Sample("heads", normal(2, 3, 12), {"heads": 2}),
        Sample("mask", lambda rng: (normal(2, 3, 12)(rng), ATTENTION_MASK[..., :3]), {"heads": 2}),
        Sample("many blocks", normal(40, 32, 48), {"heads": 4}, analytic=False),
    ],
    "mlp_branch": [
        Sample("matrix", both((5, 4), (4,), (4,), (4, 6), (6,), (6, 4), (4,))),
        Sample("stack", both((2, 3, 4), (4,), (4,), (4, 6), (6,), (6, 4), (4,)), {"eps": 0.1}),
        Sample("residual", both((2, 3, 4), (4,), (4,), (4, 6), (6,), (6, 4), (4,)), {"residual": True}),
        Sample("no rows", both((0, 4), (4,), (4,), (4, 6), (6,), (6, 4), (4,))),
        Sample("not contiguous", lambda rng: (normal(2, 4, 3)(rng).swapaxes(1, 2), *MLP_WEIGHTS(rng))),
        Sample("many blocks", both((600, 4), (4,), (4,), (4, 512), (512,), (512, 4), (4,)), analytic=False),
    ],
    "attention_branch": [
        Sample("heads", both((2, 3, 4), *BRANCH_SHAPES), {"heads": 2}),
        Sample("residual", both((2, 3, 4), *BRANCH_SHAPES), {"heads": 2, "residual": True}),
        Sample("sparse", both((2, 5, 4), *BRANCH_SHAPES), {"heads": 2, "sparse": True}),
        Sample(
            "mask",
            lambda rng: (*both((2, 3, 4), *BRANCH_SHAPES)(rng), ATTENTION_MASK[..., :3]),
            {"heads": 2, "eps": 0.1},
        ),
        Sample(
            "not contiguous",
            lambda rng: (normal(2, 4, 3)(rng).swapaxes(1, 2), *both(*BRANCH_SHAPES)(rng)),
            {"heads": 2},
        ),
        Sample("one map", both((2, 3, 4), (4,), (4,), (4, 4), (4,), (4, 4), (4,)), {"heads": 2}),
        Sample(
            "one map without bias",
            lambda rng: (*both((2, 3, 4), (4,), (4,), (4, 4))(rng), None, *both((4, 4), (4,))(rng)),
            {"heads": 2, "residual": True},
        ),
        Sample("many blocks", both((800, 20, 4), *BRANCH_SHAPES), {"heads": 2}, analytic=False),
    ],
    "adaptive_mlp_branch": [
        Sample("stack", both((2, 3, 4), *MODULATION, (4, 6), (6,), (6, 4), (4,))),
        Sample("large eps", both((2, 3, 4), *MODULATION, (4, 6), (6,), (6, 4), (4,)), {"eps": 0.1}),
        Sample(
            "not contiguous",
            lambda rng: (normal(2, 4, 3)(rng).swapaxes(1, 2), *both(*MODULATION, (4, 6), (6,), (6, 4), (4,))(rng)),
        ),
        Sample("many blocks", both((40, 15, 4), *[(40, 4)] * 3, (4, 512), (512,), (512, 4), (4,)), analytic=False),
    ],
    "adaptive_attention_branch": [
        Sample("heads", both((2, 3, 4), *MODULATION, *BRANCH_SHAPES[2:]), {"heads": 2}),
        Sample(
            "mask",
            lambda rng: (*both((2, 3, 4), *MODULATION, *BRANCH_SHAPES[2:])(rng), ATTENTION_MASK[..., :3]),
            {"heads": 2, "eps": 0.1},
        ),
        Sample(
            "many blocks",
            lambda rng: tuple(0.3 * x for x in both((800, 20, 4), *[(800, 4)] * 3, *BRANCH_SHAPES[2:])(rng)),
            {"heads": 2},
            analytic=False,
        ),
    ],
    "reshape": [
        Sample("flat", constants(normal(2, 3), (6,))),
        Sample("guessed", constants(normal(2, 3), (3, -1))),
        Sample("the same", constants(normal(2, 3), (2, 3))),
        Sample("not contiguous", lambda rng: (normal(2, 3)(rng).T, (6,))),
    ],
    "transpose": [
        Sample("reversed", normal(2, 3)),
        Sample("axes", normal(2, 3, 4), {"axes": (1, 2, 0)}),
        Sample("negative axes", normal(2, 3, 4), {"axes": (-1, 0, -2)}),
    ],
    "broadcast_to": [
        Sample("rows", constants(normal(3), (2, 3))),
        Sample("column", constants(normal(2, 1), (4, 2, 3))),
        Sample("0-d", constants(normal(), (2, 3))),
    ],
    "concatenate": [
        Sample("rows", both((2, 3), (1, 3), (4, 3))),
        Sample("columns", both((2, 3), (2, 1)), {"axis": -1}),
        Sample("with an empty one", both((2, 3), (0, 3))),
    ],
    "stack": [
        Sample("first", both((2, 3), (2, 3))),
        Sample("last", both((2, 3), (2, 3), (2, 3)), {"axis": -1}),
        Sample("0-d", both((), ())),
    ],
    "split": [
        Sample("rows", constants(normal(5, 2), (2, 3))),
        Sample("columns", constants(normal(2, 6), (1, 2, 3)), {"axis": -1}),
        Sample("an empty piece", constants(normal(3, 2), (0, 3))),
    ],
    "getitem": [
        Sample("row", constants(normal(3, 4), 1)),
        Sample("element", constants(normal(3, 4), (1, -2))),
        Sample("slices", constants(normal(4, 5), (slice(1, None), slice(None, None, 2)))),
        Sample("new axis", constants(normal(3, 4), (slice(None), None))),
        Sample("ellipsis", constants(normal(2, 3, 4), (..., 0))),
        Sample("rows, repeated", constants(normal(3, 4), np.array([2, 0, 2, 2, -1]))),
        Sample("pairs", constants(normal(3, 4), (np.array([0, 1, 0]), np.array([3, 2, 3])))),
        Sample("slice and rows", constants(normal(3, 4), (slice(None), np.array([1, 1, 3])))),
        Sample("grid of rows", constants(normal(3, 4), np.array([[0, 1], [1, 1]]))),
        Sample("mask", constants(normal(4, 3), MASK)),
        Sample("row mask", constants(normal(4, 3), MASK[:, 0])),
    ],
    "take_along": [
        Sample("columns", constants(normal(3, 4), np.array([[0, 0], [3, 1], [2, 2]]), 1)),
        Sample("last of three", constants(normal(2, 2, 3), np.array([[[0], [2]], [[1], [1]]]), -1)),
    ],
    "scatter_rows": [
        Sample("rows, repeated", constants(normal(4, 3), np.array([1, 1, 0, 4]), 5)),
        Sample("numbers", constants(normal(4), np.array([1, 1, 0, 4]), 5)),
    ],
    # Kernels: costly sums, from mini_repr/kernels.
    "similarity_logsumexp": [
        kernel("rows", logits((5, 3), (4, 3)), 1),
        kernel("rows in tiles of 2", logits((5, 3), (4, 3)), 1, tile=2),
        kernel("rows and columns", logits((5, 3), (4, 3)), columns=True),
        kernel("without the diagonal", logits((5, 3), (5, 3)), columns=True, skip_diagonal=True),
        kernel("a shift per row", logits((5, 3), (4, 3), scale=300.0), columns=True),
        kernel("same group", logits((5, 3), (5, 3)), 1, skip_diagonal=True, same=np.array([0, 1, 0, 1, 1])),
        kernel("other groups", logits((5, 3), (5, 3)), 1, apart=np.array([0, 1, 0, 1, 1])),
    ],
    "candidate_logsumexp": [
        kernel("batch", logits((5, 3), (5, 3))),
        kernel("batch without partners", logits((5, 3), (5, 3)), partner=False),
        kernel("views", logits((5, 3), (5, 3)), among="views"),
        kernel("views, one direction", logits((5, 3), (5, 3)), 1, among="views", symmetric=False),
        kernel("batch and further", further_logits((5, 3), (5, 3), (4, 3))),
        kernel(
            "views and further, one direction",
            further_logits((5, 3), (5, 3), (4, 3)),
            1,
            among="views",
            symmetric=False,
        ),
        kernel("queue", logits((5, 3), (5, 3)), among="queue", queue=np.ones((4, 3)) * 0.3),
        kernel("queue, one direction", logits((5, 3), (5, 3)), 1, among="queue", queue=np.eye(3), symmetric=False),
    ],
    "within_logsumexp": [
        kernel("other rows", logits((5, 3))),
        kernel("in tiles of 2", logits((5, 3)), tile=2),
        kernel("same group", logits((5, 3)), same=np.array([0, 1, 0, 1, 1])),
    ],
    "partner_logit": [kernel("both views", logits((5, 3), (5, 3)))],
    "pair_products": [Sample("sets of four vectors", normal(3, 4, 2))],
    "pair_log_mean_exp": [
        kernel("distances", constants(normal(6, 3), 0.7)),
        kernel("distances in tiles of 2, self pairs", constants(normal(6, 3), 0.7), self_pairs=True, tile=2),
        kernel("products", constants(normal(6, 3), 0.7), distances=False),
        kernel("products, self pairs", constants(normal(6, 3), 0.7), distances=False, self_pairs=True),
    ],
    "pair_hinge": [
        kernel("margin 3", constants(normal(6, 3), 3.0)),
        kernel("tiles", constants(normal(6, 3), 3.0), tile=2),
    ],
    "cross_products": [
        kernel("two sets", both((6, 3), (6, 3))),
        kernel("few rows", both((3, 7), (3, 7))),
        kernel("one set", constants(normal(6, 3), None)),
        kernel("one set of few rows", constants(normal(3, 7), None)),
    ],
    "triplet_sum": [
        kernel(
            f"{mining}, {distance}, {penalty}",
            normal(6, 3),
            1,
            **TRIPLETS,
            mining=mining,
            distance=distance,
            penalty=penalty,
        )
        for mining, distance, penalty in (
            ("all", "squared", "hinge"),
            ("hard", "euclidean", "softplus"),
            ("semihard", "squared", "softplus"),
        )
    ],
    "class_logsumexp": [
        kernel("line", normal(6, 3), kind=np.array([0, 0, 1, 1, 2, 2]), margin=0.2, scale=0.5),
        kernel("in tiles of 2", normal(6, 3), kind=np.array([0, 0, 1, 1, 1, 1]), margin=0.2, scale=0.5, tile=2),
    ],
    "class_sums": [Sample("two classes", constants(normal(5, 3), np.array([0, 1, 1, 0, 1])))],
    "whitened": [kernel("covariance", normal(7, 3)), kernel("shrunk", normal(4, 5), eps=0.2)],
}

SAMPLES = [(name, number, sample.what) for name, samples in TABLE.items() for number, sample in enumerate(samples)]


def exported():
    """{name: primitive} of all that ``mini_repr.autograd`` offers, and of the kernels."""
    modules = [importlib.import_module(f"mini_repr.kernels.{m.name}") for m in pkgutil.iter_modules(kernels.__path__)]
    found = {}
    for module in (autograd, *modules):
        own = {n: x for n, x in vars(module).items() if hasattr(x, "on_arrays") and n != "_"}
        found |= {n: x for n, x in own.items() if module is autograd or x.__module__ == module.__name__}
    return found


PRIMITIVES = exported()


def is_variable(argument):
    return isinstance(argument, np.ndarray) and argument.dtype == np.float64


def on_device(backend, argument):
    """A sample's argument where ``backend`` computes; index tuples are moved part by part."""
    if isinstance(argument, tuple):
        return tuple(on_device(backend, part) for part in argument)
    if isinstance(argument, np.ndarray):
        return backend.asarray(argument)
    return argument


def settings_on(backend, sample, dtype=np.float64):
    """The sample's settings, arrays among them (a queue, labels) on the device."""
    moved = {n: x.astype(dtype) if is_variable(x) else x for n, x in sample.params.items()}
    return {n: backend.asarray(x) if isinstance(x, np.ndarray) else x for n, x in moved.items()}


def evaluate(name, sample, backend=CPU, dtype=np.float64, seed=0):
    """(host outputs, host gradients, tensors, tensor outputs) of one recorded call and its backward pass."""
    primitive = PRIMITIVES[name]
    drawn = sample.arguments(seed)
    moved = [
        Tensor(on_device(backend, x.astype(dtype)), requires_grad=True) if is_variable(x) else on_device(backend, x)
        for x in drawn
    ]
    outputs = primitive(*moved, **settings_on(backend, sample, dtype))
    outputs = given(outputs)
    total = None
    for output, weight in zip(outputs[: sample.outputs], weights_for(sample, outputs), strict=True):
        part = autograd.sum(signless(name, output) * backend.asarray(weight.astype(dtype)))
        total = part if total is None else total + part
    total.backward()
    tensors = [t for t in moved if isinstance(t, Tensor)]
    values = [backend.to_numpy(signless(name, output).data) for output in outputs]
    return values, [backend.to_numpy(t.grad) for t in tensors], tensors, outputs


def signless(name, output):
    """``output``, but for eigenvectors the columns' products with their first element, as their signs are free."""
    return output * output[:1] if name == "eigh" and output.ndim == 2 else output


def given(outputs):
    """The outputs of a primitive as a tuple, without those that it was not asked for."""
    return tuple(x for x in (outputs if isinstance(outputs, tuple) else (outputs,)) if x is not None)


def weights_for(sample, outputs):
    rng = np.random.default_rng(99)
    return [rng.standard_normal(output.shape) for output in outputs[: sample.outputs]]


def scalar_of(name, sample, backend=CPU):
    """(function of the variable host arrays to the weighted sum of the outputs, those arrays)."""
    function = PRIMITIVES[name].on_arrays
    arguments = sample.arguments()
    places = [k for k, x in enumerate(arguments) if is_variable(x)]

    def value_at(*arrays):
        called = list(arguments)
        for place, array in zip(places, arrays, strict=True):
            called[place] = (array + array.T) / 2 if sample.symmetric else array
        outputs = given(function(*called, **sample.params)[0])
        weighted = zip(outputs[: sample.outputs], weights_for(sample, outputs), strict=True)
        return np.sum([(signless(name, output) * weight).sum() for output, weight in weighted])

    return value_at, [arguments[k] for k in places]


def check_differences(name, sample):
    """Gradients against central differences in float64."""
    _, gradients, _, _ = evaluate(name, sample)
    value_at, arrays = scalar_of(name, sample)
    smooth = [g if is_array(g) else np.asarray(g) for g in gradients]
    gradcheck(value_at, arrays, smooth, np.random.default_rng(1), step=1e-4, tolerance=1e-7)


def check_complex_step(name, sample):
    """Im f(x + ihd) / h equals gradient · d to round-off."""
    _, gradients, _, _ = evaluate(name, sample)
    value_at, arrays = scalar_of(name, sample)
    rng = np.random.default_rng(2)
    for _ in range(3):
        directions = [rng.standard_normal(x.shape) for x in arrays]
        value = value_at(*(x + 1e-30j * d for x, d in zip(arrays, directions, strict=True)))
        terms = [(g * d).sum() for g, d in zip(gradients, directions, strict=True)]
        size = sum(np.abs(g * d).sum() for g, d in zip(gradients, directions, strict=True))
        np.testing.assert_allclose(np.imag(value) / 1e-30, sum(terms), rtol=0, atol=1e-11 * max(1, size))


def check_float32(name, sample, backend=CPU):
    """float32 in, float32 out: values, gradients, and close to float64."""
    exact, exact_gradients, _, _ = evaluate(name, sample)
    values, gradients, tensors, outputs = evaluate(name, sample, backend, np.float32)
    for output in outputs:
        if output.dtype.kind == "i":  # a number of pairs or triplets
            continue
        assert output.dtype == (np.float64 if name == "cast" else np.float32), f"output is {output.dtype}"
    for tensor in tensors:
        assert tensor.grad.dtype == np.float32 and tensor.grad.shape == tensor.shape
    for one, other in zip([*values, *gradients], [*exact, *exact_gradients], strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5 * max(1.0, np.abs(other).max(initial=0)))


def check_arrays_are_left_alone(name, sample, backend=CPU):
    """Inputs and g are not written to; gradients are new arrays or views of g; backward repeats to the bit."""
    function = PRIMITIVES[name].on_arrays
    drawn = sample.arguments()
    arguments = [on_device(backend, x) for x in drawn]
    before = [backend.to_numpy(x).copy() if is_array(x) else x for x in arguments]
    outputs, backward = function(*arguments, **settings_on(backend, sample))
    parts = given(outputs)
    g = tuple(backend.asarray(weight) for weight in weights_for(sample, parts))
    g = (*g, *[None] * (len(outputs) - len(g))) if isinstance(outputs, tuple) else g[0]
    kept = [backend.to_numpy(x).copy() for x in (g if isinstance(g, tuple) else (g,)) if x is not None]

    def once():
        gradients = backward(g)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        return tuple(one() if callable(one) else one for one in gradients)

    first = once()
    copies = [None if one is None else backend.to_numpy(one).copy() for one in first]
    again = once()
    for one, copy in zip(again, copies, strict=True):
        assert (one is None) == (copy is None)
        if one is not None:
            np.testing.assert_array_equal(backend.to_numpy(one), copy)
    for x, old in zip(arguments, before, strict=True):
        if is_array(x):
            np.testing.assert_array_equal(backend.to_numpy(x), old)
    for x, old in zip([x for x in (g if isinstance(g, tuple) else (g,)) if x is not None], kept, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(x), old)
    return arguments, g, again


def check_no_shared_memory(name, sample):
    arguments, g, gradients = check_arrays_are_left_alone(name, sample)
    incoming = [x for x in (g if isinstance(g, tuple) else (g,)) if x is not None]
    returned = [x for x in gradients if isinstance(x, np.ndarray)]
    for k, one in enumerate(returned):
        from_g = any(np.shares_memory(one, x) for x in incoming)
        for x in arguments:
            assert not (isinstance(x, np.ndarray) and np.shares_memory(one, x)), "a gradient is a view of an input"
        for other in returned[k + 1 :]:
            assert from_g or not np.shares_memory(one, other), "two gradients share memory"


def check_same_as_host(name, sample, backend, tolerance=1e-10):
    """Values and gradients on ``backend`` equal those on the host."""
    values, gradients, _, _ = evaluate(name, sample)
    others, other_gradients, tensors, outputs = evaluate(name, sample, backend)
    assert all(type(x.data) is type(backend.asarray(0.0)) for x in (*outputs, *tensors))
    assert all(type(t.grad) is type(backend.asarray(0.0)) for t in tensors)
    for one, other in zip([*values, *gradients], [*others, *other_gradients], strict=True):
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance * max(1.0, np.abs(one).max(initial=0)))
