"""Cluster prediction: foretell the cluster of each hidden patch, clusters being shared out anew at every position.

Definition. For images b, positions p and K clusters, with the teacher's logits t (``assignment``, a constant) and the
student's y (``prediction``), A is what Sinkhorn-Knopp makes of e^(t / target_temperature) in ``iterations`` rounds of

    A_bpk <- A_bpk / sum_b A_bpk   (over images, at each position),     A_bpk <- A_bpk / sum_k A_bpk

    L = -1/|M| sum_{(b, p) in M} sum_k A_bpk log softmax_k(y_bp / temperature),       M where ``mask`` is True

A position's own preference c_pk for a cluster falls out of A, so that a cluster cannot say where a patch is, only what.
``over="all"`` divides by the sum over images and positions, which lets it.

Gradient. dy = (softmax(y / temperature) - A) / (temperature |M|) at the patches of M, 0 elsewhere. It sums to 0 over
the clusters.

Shapes: prediction, assignment (B, P, K), mask (B, P) with at least one True. Ranges: temperatures > 0, L >= 0. With one
image in the batch A is 1/K everywhere.

Source. Darcet et al. 2025, arXiv 2502.08769, section 3; checked against the official code, facebookresearch/capi,
model.py (sinkhorn_knopp, positionwise_sk) and train_capi.py (do_student): temperatures 0.12 and 0.06, 3 rounds. It
adds 1e-8 to every sum; here sums are of logarithms, and nothing is added.
"""

import math

from mini_repr.autograd import exp, log_softmax, logsumexp, stop_gradient
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Count, Mask, Positive, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss, variant

_IMAGE_AXES = {"position": (0,), "all": (0, 1)}

_TEX = {
    "definition": r"""
L = -\frac{1}{|M|} \sum_{(b,p) \in M} \sum_k A_{bpk} \log \mathrm{softmax}_k \Bigl( \frac{y_{bp}}{t} \Bigr)

A_{bpk} \leftarrow \frac{A_{bpk}}{\sum_b A_{bpk}}

A_{bpk} \leftarrow \frac{A_{bpk}}{\sum_k A_{bpk}}
""",
    "gradient": r"""
\mathrm{d}y = \frac{\mathrm{softmax}(y/t) - A}{t \, |M|}
""",
}


@loss(
    paper="049",
    tex=_TEX,
    variants={"all_positions": variant("clusters shared out over all positions at once", over="all")},
    invariants=[
        permutation("B"),
        permutation("P"),
        permutation("K"),
        constant_shift("prediction"),
        at_least(0),
        exact(
            "equal logits of the teacher and the student: log K",
            math.log(3),
            prediction=[[[1.0] * 3], [[2.0] * 3]],
            assignment=[[[0.5] * 3], [[0.5] * 3]],
            mask=[[True], [True]],
        ),
        exact(
            "one image alone has no preferred cluster",
            math.log(2),
            prediction=[[[0.0, 0.0]]],
            assignment=[[[0.9, 0.1]]],
            mask=[[True]],
        ),
    ],
)
def cluster_prediction(
    prediction: Rows("B P K"),
    assignment: Rows("B P K", frozen=True),
    mask: Mask("B P", stays=True),
    temperature: Positive = 0.12,
    target_temperature: Positive = 0.06,
    iterations: Count() = 3,
    over: Choice("position", "all") = "position",
):
    backend = backend_of(prediction)
    xp, count, mask = backend.xp, int(mask.sum()), backend.asarray(mask)
    shared = sinkhorn(assignment / target_temperature, iterations, over)
    log_p, _ = log_softmax.on_arrays(prediction / temperature)
    each = -(shared * log_p).sum(axis=-1)

    def backward(g):
        slope = xp.exp(log_p) - shared
        slope *= xp.where(mask, g / (temperature * count), 0)[..., None].astype(slope.dtype)
        return (slope,)

    return xp.where(mask, each, 0).sum() / count, backward


def sinkhorn(logits, iterations, over="position"):
    """Assignments A (B, P, K) from logits, arrays: what rounds of dividing leave of e^logits. The rows sum to 1.

    Args:
        over: "position": each position's columns are divided by their sum over images; "all": over positions, too.
    """
    xp = backend_of(logits).xp
    for _ in range(iterations):
        logits = logits - logsumexp.on_arrays(logits, axis=_IMAGE_AXES[over], keepdims=True)[0]
        logits = logits - logsumexp.on_arrays(logits, axis=-1, keepdims=True)[0]
    return xp.exp(logits)


@definition(cluster_prediction)
def cluster_prediction_definition(prediction, assignment, mask, temperature, target_temperature, iterations, over):
    logits = stop_gradient(assignment) / target_temperature
    shared = exp(logits - logits.data.real.max(axis=_IMAGE_AXES[over], keepdims=True))
    for _ in range(iterations):
        shared = shared / shared.sum(axis=_IMAGE_AXES[over], keepdims=True)
        shared = shared / shared.sum(axis=-1, keepdims=True)
    each = -(shared * log_softmax(prediction / temperature)).sum(axis=-1)
    return (each * mask).sum() / mask.sum()
