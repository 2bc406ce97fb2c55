"""What each patch of an image shows, told without a mask in training: by texts, and by groups of like patches.

Labels are integers per patch (or pixel); -1 is the background.
"""

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Labels, Rows
from mini_repr.pages.declare import checked, metric
from mini_repr.pages.page import definition

BACKGROUND = -1
THRESHOLDS = 39  # that are tried for the background
LEAST = 0.2  # share of a patch that has to show something for the patch to show it


@metric(paper="051", sizes={"N": 3, "P": 16})
def mean_iou(predicted: Labels("N P"), labels: Labels("N P")):
    """Mean over classes of intersection over union.

    Of class c the patches that have it in both, over those that have it in either, counted over all images together:

        IoU_c = |{predicted = c} ∩ {labels = c}| / |{predicted = c} ∪ {labels = c}|

    and the mean of it over the classes that occur in either, the background one of them.

    Source: Everingham et al. 2010, "The PASCAL visual object classes (VOC) challenge", section 4.3; its use for
    texts and patches: Ranasinghe et al. 2022, arXiv 2210.09996. The first author's code (kahnchana/clippy,
    src/evaluation/segmentation.py, its lines repeated in a test) counts a class that occurs nowhere as 0.
    """
    xp = backend_of(labels).xp
    ious = []
    for c in xp.unique(xp.concatenate([predicted.reshape(-1), labels.reshape(-1)])):
        here, there = predicted == c, labels == c
        ious.append(float((here & there).sum()) / float((here | there).sum()))
    return sum(ious) / len(ious)


@definition(mean_iou)
def mean_iou_definition(predicted, labels):
    pairs = list(zip(predicted.reshape(-1).tolist(), labels.reshape(-1).tolist(), strict=True))
    classes = {c for pair in pairs for c in pair}
    ious = [sum(p == c and q == c for p, q in pairs) / sum(c in pair for pair in pairs) for c in classes]
    return sum(ious) / len(ious)


@metric(paper="051", sizes={"N": 3, "P": 16})
def best_jaccard(groups: Labels("N P"), labels: Labels("N P")):
    """Overlap of each thing in an image with the group that fits it best.

    For each class of an image but the background, the largest Jaccard index |group ∩ class| / |group ∪ class| among
    the groups of its patches; the mean over all classes of all images. What groups are called plays no part.

    Source: Ranasinghe et al. 2022, arXiv 2210.09996 (bottom-up grouping); the matching is our reading.

    Raises:
        ValueError: also where all is background.
    """
    found = []
    for group, label in zip(*(backend_of(x).to_numpy(x) for x in (groups, labels)), strict=True):
        for c in np.unique(label[label != BACKGROUND]):
            inside = label == c
            found.append(max(_overlap(group == g, inside) for g in np.unique(group[inside])))
    if not found:
        raise ValueError("best_jaccard: labels: got background (-1) alone, expected one thing or more")
    return float(np.mean(found))


def _overlap(x, y):
    return (x & y).sum() / (x | y).sum()


@definition(best_jaccard)
def best_jaccard_definition(groups, labels):
    found = []
    for group, label in zip(groups.tolist(), labels.tolist(), strict=True):
        for c in set(label) - {BACKGROUND}:
            there = {p for p, other in enumerate(label) if other == c}
            members = [{p for p, other in enumerate(group) if other == g} for g in set(group)]
            found.append(max(len(there & one) / len(there | one) for one in members))
    return sum(found) / len(found)


@checked
def zero_shot_patches(tokens: Rows("N P D"), texts: Rows("K D")):
    """(N, P, K) cosines of each patch with each text: what a patch shows is the text of the largest.

    Source: Ranasinghe et al. 2022, arXiv 2210.09996: the map that takes the pooled row to the texts takes
    each patch there.

    Args:
        tokens: of patches, in the space of the texts. texts: rows of class prompts.
    """
    return unit_rows.on_arrays(tokens)[0] @ unit_rows.on_arrays(texts)[0].T


def patch_labels(pixels, patch):
    """What each patch shows most, of what shows on more than a fifth of it, else -1: (N, P).

    Args:
        pixels: (N, H, W) host integers, -1 for nothing. patch: side in pixels, a divisor of H and W.
    """
    count, height, width = pixels.shape
    boxes = pixels.reshape(count, height // patch, patch, width // patch, patch).transpose(0, 1, 3, 2, 4)
    boxes = boxes.reshape(count, -1, patch**2)
    shares = np.stack([(boxes == c).mean(axis=-1) for c in range(max(1, pixels.max() + 1))], axis=-1)
    return np.where(shares.max(axis=-1) > LEAST, shares.argmax(axis=-1), BACKGROUND)


def segmented(scores, threshold):
    """(N, P): the class of the largest of ``scores`` (N, P, K), or -1 where that is below the threshold."""
    return np.where(scores.max(axis=-1) < threshold, BACKGROUND, scores.argmax(axis=-1))


def background_threshold(scores, labels):
    """The threshold of ``segmented`` with the highest ``mean_iou``, among 39 quantiles of the largest scores.

    To be chosen on training images: it is all that tells the background, which no caption names.

    Args:
        scores: (N, P, K) host array. labels: (N, P).
    """
    tried = np.quantile(scores.max(axis=-1), np.linspace(0, 1, THRESHOLDS + 2)[1:-1])
    return float(max(tried, key=lambda threshold: mean_iou(segmented(scores, threshold), labels)))


def patch_groups(tokens, labels, rng):
    """Groups of like patches, by k-means in each image alone: (N, P).

    Args:
        tokens: (N, P, D) host array, of which the directions count. labels: (N, P), from which only the number of
            groups is taken: as many as an image shows things, and the background. rng: numpy Generator.
    """
    rows, groups = unit_rows.on_arrays(tokens)[0].astype(np.float64), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a group without patches is no fault
        for image, label in zip(rows, labels, strict=True):
            groups.append(kmeans2(image, len(np.unique(label)), iter=20, minit="++", missing="warn", rng=rng)[1])
    return np.stack(groups)
