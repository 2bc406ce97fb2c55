"""Which part of a row is matrix products: those of our side, counted, then made again alone by each library.

    python -m bench_sides.products ours NAME              what our side multiplies, and NumPy's seconds for the same
    python -m bench_sides.products torch < products.json  PyTorch's seconds for these

Every ``@`` of the package is compiled as a call that writes down its operands, and ``numpy.matmul`` is one too. Then
the same products are made of random numbers: as large, as they lie in memory, on as many cores (those inside a thread's
share of blocks on one core each, all cores at once), from warm caches. PyTorch gets operands without gaps.
"""

import ast
import builtins
import importlib.machinery
import json
import math
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

SECONDS, TURNS = 0.01, 3  # for which a kind of product is repeated, and how often: the best counts


class Layout(NamedTuple):
    """How an array lies in memory; strides in elements."""

    shape: tuple
    strides: tuple

    @classmethod
    def of(cls, array):
        return cls(array.shape, tuple(stride // array.itemsize for stride in array.strides))


class Product(NamedTuple):
    """A kind of product: the layouts of its operands and of what it is written into (None: a new array)."""

    first: Layout
    second: Layout
    out: Layout | None
    dtype: str
    own: bool  # of a matrix with its own transpose, which BLAS makes with half of the operations
    shared: bool  # made inside a thread's share of blocks, on one core

    @classmethod
    def read(cls, values):
        """From JSON."""
        *layouts, dtype, own, shared = values
        return cls(*(one and Layout(*map(tuple, one)) for one in layouts), dtype, own, shared)

    def operations(self):
        """2 N K M for each matrix of a stack; a vector is a matrix of one row or column."""
        (*stack, rows, inner), (*other, _, columns) = self._matrices()
        return 2 * math.prod(np.broadcast_shapes(tuple(stack), tuple(other))) * rows * inner * columns

    def _matrices(self):
        first, second = self.first.shape, self.second.shape
        return (1, *first) if len(first) == 1 else first, (*second, 1) if len(second) == 1 else second


# ---------------------------------------------------------------------------------------------------------------------
# What our side multiplies.


def write_down_products():
    """From here on modules of the package are compiled so that the list that this returns holds every product."""
    found, matmul = [], np.matmul

    def counted(x, y, out=None, **options):
        if options or not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):  # no call of the package
            return matmul(x, y, out=out, **options)
        from mini_repr.backend import single_threaded_products

        own = x.ctypes.data == y.ctypes.data and x.shape == y.shape[::-1] and x.strides == y.strides[::-1]
        into = None if out is None else Layout.of(out)
        shared = single_threaded_products._inside > 0
        found.append(Product(Layout.of(x), Layout.of(y), into, x.dtype.char, own, shared))  # atomic: threads call it
        return matmul(x, y, out=out)

    def product(x, y):
        return counted(x, y) if type(x) is type(y) is np.ndarray else x @ y

    def source_to_code(loader, data, path, **options):
        tree = ast.parse(data)
        if "mini_repr" in str(path):
            tree = ast.fix_missing_locations(_Called().visit(tree))
        return compile(tree, path, "exec", dont_inherit=True)

    np.matmul, builtins.counted_product = counted, product
    # What was compiled before is not read, and what is compiled now is not kept.
    sys.pycache_prefix, sys.dont_write_bytecode = os.devnull, True
    importlib.machinery.SourceFileLoader.source_to_code = source_to_code
    return found


class _Called(ast.NodeTransformer):
    """``x @ y`` as ``counted_product(x, y)``."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.MatMult):
            return node
        return ast.copy_location(ast.Call(ast.Name("counted_product", ast.Load()), [node.left, node.right], []), node)


def products_of(name):
    """[(product, how often)] of one step of our side of a row."""
    found = write_down_products()
    from bench_sides import ours
    from bench_sides.common import LOSSES

    step = ours.loss(name) if name in LOSSES else getattr(ours, name)()
    step()  # what is made once and kept
    found.clear()
    step()
    return list(Counter(found).items())


# ---------------------------------------------------------------------------------------------------------------------
# The same alone.


def seconds_of(found, made, cores, at_once):
    """The sum over the kinds of products of how often times how long.

    Args:
        made: ``made(product)`` returns a function that makes it. at_once: runs a list of functions, one a core.
    """
    total = 0.0
    for product, times in found:
        works = [made(product) for _ in range(cores if product.shared else 1)]
        run = at_once if product.shared else _one
        _timed(run, works, 1)
        again = max(1, min(1000, int(SECONDS / _timed(run, works, 1))))
        total += times * min(_timed(run, works, again) for _ in range(TURNS)) / again / len(works)
    return total


def _one(works):
    works[0]()


def _timed(run, works, again):
    def repeated(work):
        for _ in range(again):
            work()

    started = time.perf_counter()
    run([lambda work=work: repeated(work) for work in works])
    return time.perf_counter() - started


def in_numpy(product):
    first = _filled(product.first, product.dtype)
    second = first.T if product.own else _filled(product.second, product.dtype)
    if product.out is None:
        return lambda: first @ second
    out = _filled(product.out, product.dtype)
    return lambda: np.matmul(first, second, out=out)


def _filled(layout, dtype):
    reach = 1 + sum((count - 1) * stride for count, stride in zip(*layout, strict=True))
    buffer = np.random.default_rng(0).random(reach).astype(dtype)
    return np.lib.stride_tricks.as_strided(buffer, layout.shape, [n * buffer.itemsize for n in layout.strides])


def in_torch(product):
    import torch

    def operand(layout):
        """Without gaps, rows or columns first as it was."""
        turned = len(layout.shape) > 1 and layout.strides[-2] == 1 < layout.strides[-1]
        x = torch.from_numpy(np.ascontiguousarray(_filled(layout, product.dtype)))
        return x.mT.contiguous().mT if turned else x

    first = operand(product.first)
    second = first.mT if product.own else operand(product.second)
    if product.out is None:
        return lambda: first @ second
    out = first @ second
    return lambda: torch.matmul(first, second, out=out)


def main(library, name=None):
    cores = len(os.sched_getaffinity(0))
    if library == "ours":
        found = products_of(name)
        from mini_repr.backend import CPU, keep_large_blocks

        keep_large_blocks()
        taken = seconds_of(found, in_numpy, cores, lambda works: CPU.map_shares(lambda share: share[0](), works))
        gflop = sum(times * product.operations() for product, times in found) / 1e9
        print(json.dumps({"products": found, "gflop": gflop, "seconds": taken}))
        return
    import torch

    found = [(Product.read(product), times) for product, times in json.load(sys.stdin)]
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        print(json.dumps(seconds_of(found, in_torch, cores, lambda works: list(pool.map(lambda work: work(), works)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
