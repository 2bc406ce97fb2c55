import numpy as np
import pytest

from mini_repr.metrics import best_jaccard, mean_iou
from mini_repr.metrics.segmentation import (
    background_threshold,
    patch_groups,
    patch_labels,
    segmented,
    zero_shot_patches,
)

LABELS = np.array([[-1, -1, 3, 3], [-1, -1, -1, 7]])


def test_the_true_map_has_mean_iou_1_and_all_background_that_of_the_background_alone():
    assert mean_iou(LABELS, LABELS) == 1
    assert mean_iou(np.full_like(LABELS, -1), LABELS) == pytest.approx((5 / 8) / 3)


def test_intersections_are_summed_over_all_images():
    """One patch of two is right in one image and none in the other: 1/3 over both, not the mean of 1 and 0."""
    labels, predicted = np.array([[3, -1], [3, 3]]), np.array([[3, -1], [-1, -1]])
    assert mean_iou(predicted, labels) == pytest.approx((1 / 3 + 1 / 3) / 2)


def test_mean_iou_is_torchmetrics_macro_jaccard():
    jaccard = pytest.importorskip("torchmetrics.functional.classification").multiclass_jaccard_index
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    predicted, labels = rng.integers(0, 4, size=(2, 6, 9))
    theirs = jaccard(torch.tensor(predicted), torch.tensor(labels), num_classes=4, average="macro")
    assert mean_iou(predicted, labels) == pytest.approx(float(theirs), rel=1e-6)


def test_mean_iou_is_that_of_the_first_authors_confusion_matrix():
    """kahnchana/clippy, src/evaluation/segmentation.py: with every class there, the sum over columns and rows of it."""
    rng = np.random.default_rng(1)
    predicted, labels = rng.integers(0, 5, size=(2, 4, 50))
    matrix = np.bincount((5 * labels + predicted).reshape(-1), minlength=25).reshape(5, 5)
    ious = matrix.diagonal() / (matrix.sum(axis=0) + matrix.sum(axis=1) - matrix.diagonal())
    assert mean_iou(predicted, labels) == pytest.approx(ious.mean(), rel=1e-12)


def test_groups_are_judged_by_their_patches_and_not_by_their_names():
    assert best_jaccard(np.array([[5, 5, 9, 9], [9, 9, 9, 5]]), LABELS) == 1
    # One group for all: 2 of 4 patches of one thing, 1 of 4 of the other.
    assert best_jaccard(np.zeros_like(LABELS), LABELS) == pytest.approx((2 / 4 + 1 / 4) / 2)


def test_without_a_thing_there_is_nothing_to_group():
    with pytest.raises(ValueError, match=r"best_jaccard: labels: got background \(-1\) alone, expected one thing"):
        best_jaccard(np.zeros((2, 3), dtype=int), np.full((2, 3), -1))


def test_patches_show_what_more_than_a_fifth_of_them_shows_most():
    pixels = np.full((1, 2, 6), -1)
    pixels[0, 0, 0], pixels[0, :, 2] = 4, 1
    pixels[0, 0, 3] = 2
    assert patch_labels(pixels, 2).tolist() == [[4, 1, -1]]
    pixels = np.full((1, 5, 5), -1)
    pixels[0, 0] = 3  # a fifth is not more than a fifth
    assert patch_labels(pixels, 5).tolist() == [[-1]]
    pixels[0, 1, 0] = 3
    assert patch_labels(pixels, 5).tolist() == [[3]]


def test_patches_are_numbered_along_rows():
    pixels = np.arange(4).repeat(4).reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(1, 4, 4)
    assert patch_labels(pixels, 2).tolist() == [[0, 1, 2, 3]]


def test_the_threshold_that_tells_the_background_is_found():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, size=(10, 40))
    scores = 0.1 * rng.random((10, 40, 3))
    rows, columns = np.nonzero(labels >= 0)
    scores[rows, columns, labels[rows, columns]] += 0.5
    threshold = background_threshold(scores, labels)
    assert 0.1 < threshold < 0.6
    np.testing.assert_array_equal(segmented(scores, threshold), labels)


def test_cosines_do_not_depend_on_lengths():
    rng = np.random.default_rng(0)
    tokens, texts = rng.standard_normal((2, 5, 4)), rng.standard_normal((3, 4))
    cosines = zero_shot_patches(tokens, texts)
    np.testing.assert_allclose(zero_shot_patches(7 * tokens, 0.3 * texts), cosines, atol=1e-12)
    alone = tokens[1, 2] @ texts[0] / np.linalg.norm(tokens[1, 2]) / np.linalg.norm(texts[0])
    assert cosines[1, 2, 0] == pytest.approx(alone)


def test_groups_are_of_like_patches():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, size=(6, 30))
    directions = np.linalg.qr(rng.standard_normal((8, 8)))[0][:3]
    tokens = directions[labels] + 0.05 * rng.standard_normal((6, 30, 8))
    assert best_jaccard(patch_groups(tokens, labels, np.random.default_rng(0)), labels) == 1
