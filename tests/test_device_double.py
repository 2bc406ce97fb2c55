"""The double refuses what a device refuses: otherwise what passes on it would prove nothing."""

import copy

import numpy as np
import pytest
from device_double import DOUBLE, OTHER_DOUBLE, SYNCS, Device, DoubleArray, double_xp, other_rounding

from mini_repr.autograd import cholesky, inverse, log_determinant
from mini_repr.backend import backend_of, is_array
from mini_repr.kernels.whitening import whitened

HOST = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def x():
    return DOUBLE.asarray(HOST)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: np.asarray(x),
        lambda x: np.array([x]),
        lambda x: np.exp(x),
        lambda x: x + HOST,
        lambda x: HOST + x,
        lambda x: HOST @ x.T,
        lambda x: x == HOST,
        lambda x: x + np.array(1.0),
        lambda x: x.__iadd__(HOST),
        lambda x: x[np.array([0, 1])],
        lambda x: x.__setitem__(0, HOST[0]),
        lambda x: x.__setitem__(np.array([True, False]), 0),
        lambda x: HOST[double_xp.asarray([0])],
        lambda x: double_xp.add(x, HOST),
        lambda x: double_xp.concatenate([x, HOST]),
        lambda x: double_xp.where(x > 0, x, HOST),
        lambda x: double_xp.exp(HOST),
        lambda x: double_xp.exp(x, out=HOST),
        lambda x: double_xp.add.at(x, np.array([0]), 1.0),
        lambda x: double_xp.sum(x, where=x > 0),
        lambda x: x.max(initial=0),
        lambda x: double_xp.argsort(x, stable=True),
        lambda x: list(range(x[0, 1])),
        lambda x: [1, 2][double_xp.asarray(1)],
        lambda x: len(x.sum()),
        lambda x: {x: 1},
        lambda x: next(iter(x.sum())),
    ],
)
def test_refused_with_a_type_error(x, use):
    with pytest.raises((TypeError, IndexError)):
        use(x)
    np.testing.assert_array_equal(x.get(), HOST)


@pytest.mark.parametrize("name", ["block", "errstate", "insert", "longdouble", "nditer", "vecdot", "strings"])
def test_names_that_numpy_has_and_cupy_lacks_are_missing(name):
    assert hasattr(np, name)
    with pytest.raises(AttributeError):
        getattr(double_xp, name)


@pytest.mark.parametrize("name", ["ctypes", "newbyteorder", "__imatmul__", "__index__", "__contains__", "setflags"])
def test_attributes_that_cupy_arrays_lack_are_missing(x, name):
    assert not hasattr(x, name)


def test_a_device_array_has_many_elements_and_no_truth(x):
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)


def test_reductions_and_elements_stay_on_the_device(x):
    for result in (x.sum(), x.max(), x[0, 0], x.mean(axis=None), double_xp.sum(x), x.any(), double_xp.allclose(x, x)):
        assert type(result) is DoubleArray and result.shape == ()
    assert float(x.sum()) == 15.0 and int(x.max()) == 5 and x[1, 2].item() == 5.0 and bool(x.any())


def test_numbers_and_numpy_scalars_are_welcome(x):
    np.testing.assert_array_equal((np.float64(2) * x + 1 - np.float32(1)).get(), HOST * 2)
    assert (DOUBLE.asarray(HOST.astype(np.float32)) * 2.0).dtype == np.float32


def test_views_copies_and_in_place(x):
    view = x[0]
    view *= 10
    assert x[0, 1].item() == 10 and view.base is not None and x.base is None and (x + 1).base is None
    kept = x
    x += 1
    assert x is kept
    assert double_xp.exp(x, out=x) is x
    other = copy.deepcopy(x)
    other[...] = 0
    assert float(x.min()) > 0
    host = HOST.copy()
    moved = DOUBLE.asarray(host)
    host += 1
    np.testing.assert_array_equal(moved.get(), HOST)
    assert DOUBLE.asarray(moved) is moved


def test_indexing(x):
    rows = double_xp.asarray([1, 0])
    np.testing.assert_array_equal(x[rows].get(), HOST[[1, 0]])
    np.testing.assert_array_equal(x[rows[:, None], double_xp.arange(3)].get(), HOST[[1, 0]])
    np.testing.assert_array_equal(x[x > 2].get(), HOST[HOST > 2])
    np.testing.assert_array_equal(x[:, None, ::2].get(), HOST[:, None, ::2])
    x[x > 2] = -1.0
    assert float(x.min()) == -1


def test_backend(x):
    assert backend_of(x) is DOUBLE and backend_of(1.0, x) is DOUBLE and is_array(x)
    target = double_xp.zeros(3)
    DOUBLE.scatter_add(target, double_xp.asarray([0, 0, 2]), double_xp.ones(3))
    np.testing.assert_array_equal(DOUBLE.to_numpy(target), [2, 0, 1])
    values, vectors = double_xp.linalg.eigh(x @ x.T)
    assert type(values) is type(vectors) is DoubleArray
    assert [type(part) for part in double_xp.nonzero(x)] == [DoubleArray] * 2


def test_two_devices_do_not_mix(x):
    other = OTHER_DOUBLE.asarray(HOST)
    assert backend_of(other) is OTHER_DOUBLE and backend_of(x) is DOUBLE
    for use in (lambda: x + other, lambda: double_xp.exp(other), lambda: other.sum(), lambda: x[other[0]]):
        with pytest.raises(ValueError, match="same as the current device"):
            use()
    with Device(1):
        total = (other[:, 0] + other.T[0]).sum()
        with pytest.raises(ValueError, match="same as the current device"):
            x.sum()
    assert total.device.id == 1 and float(total) == 6.0 and x.device.id == 0


def test_what_makes_the_host_wait_is_counted(x):
    SYNCS.clear()
    y = double_xp.where(x > 2, x, 0)
    double_xp.copyto(y, 1.0, where=y > 0)
    assert not SYNCS
    x[x > 2], float(x[0, 0]), bool(x.any()), x.sum().item(), double_xp.nonzero(x), x.get()
    x[x > 2] = 0.0
    assert SYNCS == {"mask": 2, "float": 1, "bool": 1, "item": 1, "nonzero": 1, "get": 1}


def test_another_rounding():
    x = DOUBLE.asarray(np.random.default_rng(0).random((50, 50), dtype=np.float32))
    tiny = DOUBLE.asarray(np.full(3, 1e-38, np.float32))
    for use in (lambda: x @ x, lambda: x.sum(axis=0), lambda: double_xp.exp(x)):
        exact = use().get()
        with other_rounding():
            other = use().get()
        assert (other != exact).any()
        np.testing.assert_allclose(other, exact, rtol=2.4e-7)
    with other_rounding():
        assert not (tiny * 0.1).get().any() and (x + 0).get().all()
    assert (tiny * 0.1).get().all()


def test_atomics_come_in_any_order():
    values = double_xp.asarray(np.random.default_rng(0).standard_normal(1000).astype(np.float32))
    index = double_xp.zeros(1000, dtype=int)
    sums = [double_xp.zeros(1, dtype="float32") for _ in range(20)]
    for total in sums[:10]:
        double_xp.add.at(total, index, values)
    for total in sums[10:]:
        DOUBLE.scatter_add(total, index, values)
    assert len({float(x[0]) for x in sums[:10]}) > 1 and len({float(x[0]) for x in sums[10:]}) == 1


def test_factorisations_that_fail_raise_where_they_are_asked_to():
    """CuPy returns what it has otherwise."""
    indefinite, singular = DOUBLE.asarray(np.diag([1.0, -1.0])), DOUBLE.asarray(np.ones((2, 2)))
    for call, matrix in (("cholesky", indefinite), ("inv", singular)):
        call = getattr(double_xp.linalg, call)
        assert type(call(matrix)) is DoubleArray
        with pytest.raises(np.linalg.LinAlgError), DOUBLE.singular_raises():
            call(matrix)
    for primitive, matrix in ((cholesky, indefinite), (inverse, singular)):
        with pytest.raises(np.linalg.LinAlgError):
            primitive(matrix)
    with pytest.raises(np.linalg.LinAlgError):
        log_determinant.on_arrays(singular)[1](double_xp.ones(()))
    with pytest.raises(ValueError, match="singular covariance of 2 columns"):
        whitened(DOUBLE.asarray(np.ones((5, 1)) * [1.0, 2.0]))
