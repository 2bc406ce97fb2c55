import numpy as np
import pytest

from mini_repr.data import DataError, Dataset, ImageSet, PairSet, RowSet, TextSet, split

IMAGES = np.zeros((4, 1, 2, 2), dtype=np.float32)
LABELS = np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageSet("f", IMAGES[:, 0]), r"f: images of shape \(4, 2, 2\) float32, expected \(N, 1 or 3, H, W\)"),
        (lambda: ImageSet("f", IMAGES.astype(float)), "float64, expected .* float32"),
        (lambda: ImageSet("f", np.zeros((4, 2, 2, 2), np.float32)), "expected"),
        (lambda: ImageSet("f", IMAGES[:0]), "no image"),
        (lambda: ImageSet("f", IMAGES + 1.5), "from 1.5 to 1.5, expected 0 to 1"),
        (lambda: ImageSet("f", IMAGES * np.nan), "no NaN"),
        (lambda: ImageSet("f", IMAGES, LABELS[:3], ("a", "b")), r"labels of shape \(3,\) for 4 rows"),
        (lambda: ImageSet("f", IMAGES, LABELS.astype(np.int32), ("a", "b")), "labels are int32, expected int64"),
        (lambda: ImageSet("f", IMAGES, LABELS, ("a",)), "labels from 0 to 1, expected 0 to 0"),
        (lambda: ImageSet("f", IMAGES, LABELS - 1, ("a", "b")), "labels from -1 to 0"),
        (lambda: ImageSet("f", IMAGES, None, ("a",)), "1 class names without labels"),
        (lambda: RowSet("f", np.zeros((2, 3), int)), "expected .N, D. float32 or float64"),
        (lambda: RowSet("f", np.zeros((2, 0))), "no row"),
        (lambda: RowSet("f", np.full((2, 1), np.inf)), "NaN or infinity"),
        (lambda: PairSet("f", ["a"], []), "1 texts a and 0 texts b"),
        (lambda: PairSet("f", [], []), "not none"),
        (lambda: PairSet("f", ["a"], ["b"], similarity=np.zeros(2, np.float32)), "similarity of shape .* for 1 pairs"),
        (lambda: PairSet("f", ["a"], ["b"], similarity=np.zeros(1)), "float64 for 1 pairs, expected"),
        (lambda: PairSet("f", ["a"], ["b"], similarity=np.float32([np.inf])), "similarity holds infinity"),
        (lambda: TextSet("f", []), "no texts, expected one or more"),
        (lambda: TextSet("f", ["a"], np.zeros(2, np.int64), ("x",)), "labels of shape"),
        (lambda: PairSet("f", ["a"], ["b"], negatives=[]), "0 negatives, expected one for each of 1 pairs"),
        (lambda: split(ImageSet("f", IMAGES[:1])), "at least two rows"),
        (lambda: split(ImageSet("f", IMAGES), "labels"), "option split is 'labels', expected classes or rows"),
        (lambda: Dataset("f", ImageSet("f", IMAGES), PairSet("f", ["a"], ["b"])), "ImageSet and PairSet"),
        (lambda: Dataset("f", ImageSet("f", IMAGES), ImageSet("f", IMAGES[..., :1])), "expected the same"),
        (lambda: Dataset("f", RowSet("f", np.ones((1, 2))), RowSet("f", np.ones((1, 3)))), "widths 2 and 3"),
        (lambda: Dataset("f", ImageSet("f", IMAGES, LABELS, ("a", "b")), ImageSet("f", IMAGES)), "class names"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize("labels", [np.arange(40) % 5, np.sort(np.arange(40) % 7), np.arange(9) // 2, [0, 1, 2, 2, 2]])
def test_by_class_no_class_is_all_test(labels):
    labels = np.array(labels)
    rows = np.arange(len(labels), dtype=float)[:, None]
    data = split(RowSet("f", rows, labels, tuple("0123456")[: labels.max() + 1]), "classes")
    assert set(data.train.labels) == set(labels) and len(data.test) > 0
    assert sorted(np.concatenate([data.train.rows, data.test.rows])[:, 0]) == sorted(rows[:, 0])
    if len(labels) == 40:
        counts = np.bincount(data.test.labels, minlength=labels.max() + 1)
        assert counts.min() >= 1 and counts.max() - counts.min() <= 1


def test_every_fifth_row_is_test():
    a = [f"a{i}" for i in range(11)]
    labels = np.arange(11) % 3
    data = split(PairSet("f", a, a[::-1], labels, ("x", "y", "z")))
    assert data.test.a == ["a0", "a5", "a10"] and data.test.b == ["a10", "a5", "a0"]
    assert np.array_equal(data.test.labels, labels[::5])
    assert sorted(data.train.a + data.test.a) == sorted(a) and data.train.label_names == ("x", "y", "z")
    graded = split(PairSet("f", a, a, similarity=np.arange(11, dtype=np.float32)))
    assert graded.test.similarity.tolist() == [0, 5, 10] and len(graded.train.similarity) == 8
    texts = split(TextSet("f", a, labels, ("x", "y", "z")))
    assert texts.test.texts == ["a0", "a5", "a10"] and np.array_equal(texts.test.labels, labels[::5])
    rows = split(RowSet("f", np.arange(14.0).reshape(7, 2)))
    assert np.array_equal(rows.test.rows[:, 0], [0, 10]) and rows.train.labels is None
