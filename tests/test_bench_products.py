"""``scripts/bench_sides/products.py``: no product is missed, and what is made again is what was made."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from scripts_folder import script

products = script("bench_sides.products")
SCRIPTS = Path(__file__).parent.parent / "scripts"
B = 256


def of_vector(one):
    """Whether an operand is a vector, or a matrix of one row or column."""
    first, second = one.first.shape, one.second.shape
    return min(len(first), len(second)) < 2 or 1 in (first[0], second[-1])


def test_the_operations_of_a_step_are_those_of_its_layers():
    """Two views of 256 images through five linear layers: thrice a layer, but no gradient for pixels; then InfoNCE.

    Products with a vector, which sum rows or columns, are counted too and left out here.
    """
    code = "import json; from bench_sides.products import products_of; print(json.dumps(products_of('mlp')))"
    path = os.pathsep.join([str(SCRIPTS), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True, text=True
    )
    found = [(products.Product.read(one), times) for one, times in json.loads(done.stdout)]
    layers = [(784, 512), (512, 512), (512, 128), (128, 256), (256, 128)]
    forward = sum(2 * 2 * B * n * m for n, m in layers)
    similarities = 4 * 2 * B * B * 128  # forward, again for the gradient, and one for each view
    counted = sum(times * one.operations() for one, times in found if not of_vector(one))
    assert counted == 3 * forward - 2 * 2 * B * 784 * 512 + similarities
    assert {one.dtype for one, _ in found} == {"f"}


def layout(array):
    return products.Layout.of(array)


def product(first, second, out=None, own=False, shared=False):
    into = None if out is None else layout(out)
    return products.Product(layout(first), layout(second), into, first.dtype.char, own, shared)


@pytest.mark.parametrize(
    ("shapes", "operations"),
    [
        (((3, 4), (4, 5)), 2 * 3 * 4 * 5),
        (((7, 2, 3, 4), (4, 5)), 2 * 14 * 3 * 4 * 5),
        (((4,), (4, 5)), 2 * 4 * 5),
        (((3, 4), (4,)), 2 * 3 * 4),
    ],
)
def test_operations_of_stacks_and_vectors(shapes, operations):
    first, second = map(np.zeros, shapes)
    one = product(first, second)
    assert one.operations() == operations
    assert products.Product.read(json.loads(json.dumps(one))) == one


def test_the_same_product_is_made_again():
    """Of heads that lie side by side, one side transposed, into a view."""
    packed = np.zeros((2, 5, 3, 4, 6), np.float32)
    query, key = packed[:, :, 0].transpose(0, 2, 1, 3), packed[:, :, 1].transpose(0, 2, 3, 1)
    out = np.zeros((2, 4, 5, 8), np.float32)[..., :5]
    made = products.in_numpy(product(query, key, out))
    result = made()
    assert result is made() and layout(result) == layout(out)
    first, second = (products._filled(layout(x), "f") for x in (query, key))
    np.testing.assert_array_equal(result, first @ second)
    assert (first.strides, second.strides) == (query.strides, key.strides)
    assert len(np.unique(first)) > 100


def test_a_matrix_with_its_own_transpose_stays_one():
    x = np.zeros((6, 3), np.float32)
    gram = products.in_numpy(product(x, x.T, own=True))()
    np.testing.assert_array_equal(gram, gram.T)
    assert gram.shape == (6, 6) and (np.diag(gram) > 0).all()


@pytest.mark.crosscheck
def test_pytorch_makes_the_same_products():
    pytest.importorskip("torch")
    x, y = np.zeros((6, 3), np.float32), np.zeros((8, 3), np.float32)
    for one in (product(x, y.T), product(x, y.T, np.zeros((6, 8), np.float32)), product(x, x.T, own=True)):
        np.testing.assert_allclose(products.in_torch(one)().numpy(), products.in_numpy(one)(), rtol=1e-5)


def test_what_is_shared_runs_once_a_core_and_counts_for_as_many():
    made, at_once = [], []

    def work(one):
        made.append(one)
        return lambda: threading.Event().wait(0.01)

    def run(works):
        at_once.append(len(works))
        for each in [threading.Thread(target=work) for work in works]:
            each.start()
            each.join()

    x = np.zeros((2, 2), np.float32)
    alone, shared = product(x, x), product(x, x, shared=True)
    taken = products.seconds_of([(alone, 5), (shared, 10)], work, 3, run)
    assert made == [alone] + 3 * [shared] and set(at_once) == {3}
    assert taken >= 15 * 0.01  # threads one after the other: a product of three at once takes a third of all
