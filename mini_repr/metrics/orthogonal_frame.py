"""How far class means are from mutually orthogonal vectors of one length."""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Labels, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="013")
def orthogonal_frame(z: Rows("N D", no_zero_row=True), labels: Labels("N")):
    """Distance of the class means from orthogonal ones of one length.

    || G / ||G|| - I / ||I|| || with G the Gram matrix of the class means of unit rows, Frobenius norms. 0 for an
    orthogonal frame: class means at right angles and of one length, however many rows each class has. At most
    sqrt(2 - 2 / sqrt(K)) for K classes, where all means lie on one line. The supervised contrastive loss on features
    that passed a ReLU is least at orthogonal frames.

    Source: Kini et al. 2023, arXiv 2306.07960 (the frame: abstract; the distance of Gram matrices is this function's).

    Raises:
        ValueError: also for fewer than two classes, and class means that are all zero.
    """
    backend = backend_of(z)
    xp = backend.xp
    u = unit_rows.on_arrays(z.astype("float64"))[0]
    _, index, counts = xp.unique(labels, return_inverse=True, return_counts=True)
    classes = len(counts)
    if classes < 2:
        raise ValueError("orthogonal_frame: labels: got one class only, expected two or more")
    means = xp.zeros((classes, z.shape[1]))
    backend.scatter_add(means, index, u)
    means /= counts[:, None]
    gram = means @ means.T
    size = float(xp.linalg.norm(gram))
    if size == 0.0:
        raise ValueError("orthogonal_frame: z: got class means that are all zero, expected one with a direction")
    gram /= size
    gram -= xp.eye(classes) / math.sqrt(classes)
    return float(xp.linalg.norm(gram))


@definition(orthogonal_frame)
def orthogonal_frame_definition(z, labels):
    """The Gram matrix of the class means, entry by entry."""
    u = z / backend_of(z).xp.linalg.norm(z, axis=1, keepdims=True)
    means = [u[labels == k].mean(axis=0) for k in sorted(set(map(int, labels)))]
    numbers = [(i, j) for i in range(len(means)) for j in range(len(means))]
    gram = [float(means[i] @ means[j]) for i, j in numbers]
    size, same = math.hypot(*gram), [(i == j) / math.sqrt(len(means)) for i, j in numbers]
    return math.hypot(*(g / size - one for g, one in zip(gram, same, strict=True)))
