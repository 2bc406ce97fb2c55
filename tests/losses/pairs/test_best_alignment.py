from itertools import combinations
from math import sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.best_alignment import alignment, best_alignment


def loops(a, b, a_lengths, b_lengths, distance, moves, reduction):
    """Brute force: every path, one by one."""

    def apart(x, y):
        dot = sum(float(p) * float(q) for p, q in zip(x, y, strict=True))
        squared = sum((float(p) - float(q)) ** 2 for p, q in zip(x, y, strict=True))
        if distance == "cosine":
            return 1 - dot / sqrt(sum(float(p) ** 2 for p in x) * sum(float(q) ** 2 for q in y))
        return squared if distance == "squared" else sqrt(squared)

    costs = []
    for n in range(len(a)):
        frames = a.shape[1] if a_lengths is None else a_lengths[n]
        tokens = b.shape[1] if b_lengths is None else b_lengths[n]
        paths = frame_paths(frames, tokens) if moves == "frame" else warping_paths(frames, tokens)
        costs.append(min(sum(apart(a[n, i], b[n, j]) for i, j in path) for path in paths) / frames)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](costs)


def frame_paths(frames, tokens):
    """All ways to cut the frames into as many runs as there are tokens."""
    for cuts in combinations(range(1, frames), tokens - 1):
        yield [(i, sum(cut <= i for cut in cuts)) for i in range(frames)]


def warping_paths(frames, tokens, start=(0, 0)):
    if start == (frames - 1, tokens - 1):
        yield [start]
        return
    for step in ((1, 1), (1, 0), (0, 1)):
        i, j = start[0] + step[0], start[1] + step[1]
        if i < frames and j < tokens:
            for rest in warping_paths(frames, tokens, (i, j)):
                yield [start, *rest]


def sequences(frames=7, tokens=3, count=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, frames, 2)), rng.standard_normal((count, tokens, 2))


def every(a, b, **settings):
    complete = {"a_lengths": None, "b_lengths": None, "distance": "squared", "moves": "frame", "reduction": "none"}
    return loops(a, b, **{**complete, **settings})


@pytest.mark.parametrize("moves", ["frame", "dtw"])
@pytest.mark.parametrize("frames, tokens", [(1, 1), (4, 1), (4, 4), (7, 2), (5, 4)])
def test_equals_brute_force_at_all_shapes(moves, frames, tokens):
    a, b = sequences(frames, tokens)
    found = best_alignment(a, b, moves=moves, reduction="none").data
    np.testing.assert_allclose(found, every(a, b, moves=moves), rtol=1e-12)
    path = alignment(a, b, moves=moves)
    assert path[:, 0, 0].all() and path[:, -1, -1].all() and path.any(axis=1).all() and path.any(axis=2).all()
    assert moves == "dtw" or (path.sum(axis=2) == 1).all()


@pytest.mark.parametrize("moves", ["frame", "dtw"])
@pytest.mark.parametrize("distance", ["squared", "euclidean", "cosine"])
def test_lengths_hide_the_rest(moves, distance):
    a, b = sequences()
    lengths = {"a_lengths": np.array([7, 4, 3, 5]), "b_lengths": np.array([3, 2, 3, 1])}
    settings = {"moves": moves, "distance": distance, **lengths}
    found = best_alignment(a, b, reduction="none", **settings).data
    np.testing.assert_allclose(found, every(a, b, **settings), rtol=1e-12)
    np.testing.assert_allclose(found, best_alignment.definition(a, b, reduction="none", **settings).data)
    _, gradients = best_alignment.value_and_grad(a, b, **settings)
    _, defined = best_alignment.definition_and_grad(a, b, **settings)
    for name, ends in (("a", lengths["a_lengths"]), ("b", lengths["b_lengths"])):
        np.testing.assert_allclose(gradients[name], defined[name], atol=1e-12)
        assert not any(gradient[end:].any() for gradient, end in zip(gradients[name], ends, strict=True))


def test_reversed_time_costs_the_same():
    a, b = sequences()
    for moves in ("frame", "dtw"):
        forth, back = (best_alignment(x, y, moves=moves).data for x, y in ((a, b), (a[:, ::-1], b[:, ::-1])))
        assert float(forth) == pytest.approx(float(back), rel=1e-12)


def test_more_freedom_costs_less():
    a, b = sequences(frames=6)
    gaps = ((a[:, :, None] - b[:, None]) ** 2).sum(axis=3)
    free = gaps.min(axis=2).mean()
    dtw, frame = (float(best_alignment(a, b, moves=moves).data) for moves in ("dtw", "frame"))
    upsampled = ((a - b.repeat(2, axis=1)) ** 2).sum(axis=2).mean()
    assert free < dtw < frame < upsampled


def test_equal_lengths_leave_one_frame_alignment():
    a, b = sequences(4, 4)
    value = best_alignment(a, b).data
    assert float(value) == pytest.approx(((a - b) ** 2).sum(axis=2).mean(), rel=1e-12)


@pytest.mark.parametrize("distance", ["squared", "euclidean"])
def test_stretching_costs_nothing_and_pulls_nowhere(distance):
    _, b = sequences(tokens=3)
    a = b[:, [0, 0, 1, 2, 2, 2]]
    value, gradients = best_alignment.value_and_grad(a, b, distance=distance)
    assert float(value) == 0.0 and all(np.abs(g).max() < 1e-15 for g in gradients.values())


def test_ties_go_to_the_diagonal():
    a, b = np.zeros((1, 3, 2)), np.zeros((1, 2, 2))
    for moves in ("frame", "dtw"):
        np.testing.assert_array_equal(alignment(a, b, moves=moves)[0], [[1, 0], [1, 0], [0, 1]])


@pytest.mark.parametrize(
    "change, says",
    [
        ({"a_lengths": np.array([7, 2, 7, 7])}, "a: got 2 frames for 3 tokens in sample 1, expected no fewer"),
        ({"a_lengths": np.array([8, 7, 7, 7])}, "a_lengths: got lengths from 7 to 8, expected 1 to 7"),
        ({"b_lengths": np.array([0, 1, 1, 1])}, "b_lengths: got lengths from 0 to 1, expected 1 to 3"),
        ({"b_lengths": np.array([1, 1])}, r"b_lengths: got shape \(2,\), expected"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(change, says):
    with pytest.raises(ValueError, match=rf"^best_alignment: {says}"):
        best_alignment(*sequences(), **change)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int8])
def test_lengths_may_be_of_any_integer_type(dtype):
    a, b = sequences()
    lengths = np.array([7, 5, 4, 3], dtype), np.array([3, 2, 3, 1], dtype)
    expected = best_alignment(a, b, *(x.astype(np.int64) for x in lengths)).data
    assert best_alignment(a, b, *lengths).data == expected
    lengths[0][1] = 1
    with pytest.raises(ValueError, match=r"^best_alignment: a: got 1 frames for 2 tokens in sample 1, expected"):
        best_alignment(a, b, *lengths)


def test_zero_rows_and_zero_distances_of_the_definition():
    a, b = sequences(3, 3, 2)
    a[0, 1] = 0
    for distance, same in (("cosine", a), ("euclidean", b)):
        value, gradients = best_alignment.value_and_grad(same, b, distance=distance)
        defined, expected = best_alignment.definition_and_grad(same, b, distance=distance)
        assert float(value) == pytest.approx(float(defined), abs=1e-12)
        for name in gradients:
            np.testing.assert_allclose(gradients[name], expected[name], atol=1e-12)


@pytest.mark.crosscheck
@pytest.mark.parametrize("moves", ["frame", "dtw"])
def test_equals_torch(moves):
    """The recursion on torch scalars: autograd through the minima it takes."""
    torch = pytest.importorskip("torch")
    a, b = sequences()
    ours, gradients = best_alignment.value_and_grad(a, b, moves=moves)
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))
    d = torch.cdist(ta, tb).square() + 0
    infinity = torch.full((len(a),), torch.inf, dtype=d.dtype)
    row = [d[:, 0, 0]]
    for j in range(1, d.shape[2]):
        row.append(row[-1] + d[:, 0, j] if moves == "dtw" else infinity)
    for i in range(1, d.shape[1]):
        following = [row[0] + d[:, i, 0]]
        for j in range(1, d.shape[2]):
            best = torch.minimum(row[j], row[j - 1])
            if moves == "dtw":
                best = torch.minimum(best, following[-1])
            following.append(best + d[:, i, j])
        row = following
    value = (row[-1] / d.shape[1]).mean()
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-10)
    np.testing.assert_allclose(gradients["a"], ta.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(gradients["b"], tb.grad.numpy(), atol=1e-10)
