"""Two views of images as one finite table of probabilities, in which every information is exact."""

from typing import NamedTuple

import numpy as np

OWN_CLASS = 0.95
CONCENTRATION = 0.3


class DiscreteJoint(NamedTuple):
    """joint (M, M): P(first view, second view); views (N, M): P(view | image); classes of images, of views."""

    joint: np.ndarray
    views: np.ndarray
    image_classes: np.ndarray
    view_classes: np.ndarray


def discrete_joint(images, views, classes, rng):
    """The joint distribution of two views drawn independently from the same image, images being equally frequent.

    An image spreads most of its views unevenly over those of its class (a Dirichlet draw) and the rest evenly over all:
    joint = A' diag(1/N) A with A = P(view | image), so it is symmetric and positive semi-definite. Source: own, after
    augmentation graphs (HaoChen et al. 2021, arXiv 2106.04156). For row 007 (sufficiency).

    Args:
        images, views: how many. classes: image i and view i are of class i modulo ``classes``.
    Raises:
        ValueError: fewer views or images than classes, so that one would have none.
    """
    if not 1 <= classes <= min(images, views):
        raise ValueError(f"discrete_joint: {classes} classes of {images} images and {views} views, expected no more")
    image_classes, view_classes = np.arange(images) % classes, np.arange(views) % classes
    own = image_classes[:, None] == view_classes
    weights = rng.gamma(CONCENTRATION, size=(images, views)) * own
    spread = weights / weights.sum(axis=1, keepdims=True)
    kernel = OWN_CLASS * spread + (1 - OWN_CLASS) / views
    return DiscreteJoint(kernel.T @ kernel / images, kernel, image_classes, view_classes)
