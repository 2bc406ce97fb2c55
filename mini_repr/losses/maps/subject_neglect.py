"""Subject neglect: the subject that an image looks at least must still be looked at somewhere.

Definition. With the map A_i of each of the M words that name things, numbers between 0 and 1,

    L = mean over images of  1 - min_i max_p A_i[p]

0 as soon as every subject has a place that is all its own; only the worst subject of an image counts.

Gradient. For the worst subject i at its place p = argmax A_i: -1/B; 0 elsewhere. Ties share, among subjects first and
then among places.

Shapes: maps (B, M, H, W), of attention after a softmax over words.

Source. OptiPrune, 2025, arXiv 2507.00789, cross-attention score, as a review that a program wrote of it says; that of
InitNO (Guo et al. 2024, arXiv 2404.04650). Checked against InitNO's code, xiefan-guo/initno,
initno/pipelines/pipeline_sd_initno.py (fn_compute_loss), run on random maps without its smoothing: the value
agrees.
"""

from mini_repr.autograd import max as largest
from mini_repr.autograd import min as smallest
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import exact, permutation
from mini_repr.pages.loss import definition, loss

_SEEN = [[[[1.0, 0.0]], [[0.0, 1.0]]]]
_NEGLECTED = [[[[1.0, 0.5]], [[0.1, 0.25]]]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_b \Bigl( 1 - \min_i \max_p A_{bip} \Bigr)
""",
    "gradient": r"""
\mathrm{d}A_{ip} = -\frac{1}{B} \quad (i, p \ \text{of the minimum})
""",
}


@loss(
    paper="074",
    tex=_TEX,
    invariants=[
        permutation("B"),
        permutation("M"),
        permutation("H"),
        permutation("W"),
        exact("each subject has a place of its own", 0.0, maps=_SEEN),
        exact("the worst subject counts", 0.75, maps=_NEGLECTED),
    ],
)
def subject_neglect(maps: Rows("B M H W")):
    batch, count = maps.shape[:2]
    flat = maps.reshape(batch, count, -1)
    peaks = flat.max(axis=2)
    least = peaks.min(axis=1)

    def backward(g):
        worst = (peaks == least[:, None]).astype(maps.dtype)
        places = (flat == peaks[..., None]).astype(maps.dtype)
        worst /= worst.sum(axis=1, keepdims=True)
        places /= places.sum(axis=2, keepdims=True)
        return ((places * worst[..., None] * (-g / batch)).reshape(maps.shape),)

    return 1 - least.mean(), backward


@definition(subject_neglect)
def subject_neglect_definition(maps):
    batch, count = maps.shape[:2]
    values = []
    for k in range(batch):
        peaks = largest(maps[k].reshape(count, -1), axis=1)
        values.append(1 - smallest(peaks))
    return sum(values[1:], values[0]) / batch
