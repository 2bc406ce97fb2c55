import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.kernels import tiles
from mini_repr.kernels.nearest import most_similar, nearest_rows

X, Y = np.random.default_rng(0).standard_normal((2, 50, 4))


def brute_force(rows, k):
    """Sorting all others by distance, then by number."""
    found = []
    for i, row in enumerate(rows):
        others = [j for j in range(len(rows)) if j != i]
        found.append(sorted(others, key=lambda j: (((rows[j] - row) ** 2).sum(), j))[:k])
    return np.array(found)


def by_sorting(x, y, count, skip_diagonal, ceiling):
    found = []
    for i, row in enumerate(x @ y.T):
        left = [j for j in range(len(y)) if not (skip_diagonal and i == j) and row[j] <= ceiling[i]]
        found.append(sorted(left, key=lambda j: (-row[j], j))[:count])
    return found


@pytest.fixture(params=[3, 17, tiles.COLUMNS], autouse=True)
def columns(request, monkeypatch):
    """How many candidates a row meets at once."""
    monkeypatch.setattr(tiles, "COLUMNS", request.param)


@pytest.mark.parametrize("tile", [1, 7, 1000, None])
def test_nearest_rows_in_tiles_of_any_size(tile):
    np.testing.assert_array_equal(nearest_rows(X, 5, tile), brute_force(X, 5))


def test_of_equally_near_rows_the_first_and_never_the_row_itself():
    rows = np.array([[0.0], [0.0], [0.0], [2.0], [1.0]], np.float32)
    expected = [[1, 2, 4, 3], [0, 2, 4, 3], [0, 1, 4, 3], [4, 0, 1, 2], [0, 1, 2, 3]]
    np.testing.assert_array_equal(nearest_rows(rows, 4), expected)
    np.testing.assert_array_equal(nearest_rows(rows, 1)[:, 0], [1, 0, 0, 4, 0])


@pytest.mark.parametrize("tile", [1, 7, None])
@pytest.mark.parametrize("skip_diagonal", [True, False])
@pytest.mark.parametrize("count", [1, 4, 49])
def test_most_similar_rows_equal_sorting(count, skip_diagonal, tile):
    x, y = X.round(), Y.round()  # many ties
    similarities, columns = most_similar(x, y, count, skip_diagonal, tile=tile)
    expected = by_sorting(x, y, count, skip_diagonal, np.full(50, np.inf))
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(similarities, np.take_along_axis(x @ y.T, columns, axis=1))


def test_similarities_above_the_ceiling_do_not_count():
    ceiling = np.linspace(-3, 1, 50)
    similarities, columns = most_similar(X, Y, 5, ceiling=ceiling)
    for found, numbers, expected in zip(similarities, columns, by_sorting(X, Y, 5, True, ceiling), strict=True):
        assert numbers[found > -np.inf].tolist() == expected


def test_a_part_of_the_rows_among_all_of_them():
    similarities, columns = most_similar(X[20:31], X, 4, first=20)
    expected = most_similar(X, X, 4)
    np.testing.assert_array_equal(columns, expected[1][20:31])
    np.testing.assert_allclose(similarities, expected[0][20:31], rtol=1e-14)
    np.testing.assert_array_equal(nearest_rows(X, 5, rows=slice(20, 31)), brute_force(X, 5)[20:31])


def test_by_cosine_and_about_a_centre():
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    similarities, columns = most_similar(X, Y, 4, normalize=True)
    np.testing.assert_array_equal(columns, most_similar(unit, Y / np.linalg.norm(Y, axis=1, keepdims=True), 4)[1])
    assert 0.5 < similarities.max() <= 1 + 1e-15
    far = X + 2**20  # exact
    np.testing.assert_array_equal(nearest_rows(far, 5, centre=np.full(4, 2.0**20)), brute_force(far, 5))


def test_there_are_no_more_than_there_are():
    assert nearest_rows(X[:3], 9).shape == (3, 2)
    assert most_similar(X, Y, 99, skip_diagonal=False)[1].shape == (50, 50)


def test_on_a_device():
    x, y = DOUBLE.asarray(X), DOUBLE.asarray(Y.round())
    np.testing.assert_array_equal(nearest_rows(x, 3).get(), nearest_rows(X, 3))
    np.testing.assert_array_equal(most_similar(y, y, 3)[1].get(), most_similar(Y.round(), Y.round(), 3)[1])
