"""MMRL: classify by an image's own row and by what tokens beside it learned, and stay near the towers as they were.

Definition. With u(x) = x / |x|, the image's row c_b and the tokens' r_b, class rows w_k, those of the untouched towers
c'_b and w'_k (constants), scale s and CE the mean over images of the cross-entropy with their labels,

    L = alpha CE( s u(c) u(w)ᵀ ) + (1 - alpha) CE( s u(r) u(w)ᵀ )
        + anchor (1 - mean_b u(c_b)·u(c'_b)) + anchor (1 - mean_k u(w_k)·u(w'_k))

Named parts: "image", "tokens" (the two cross-entropies), "anchors" (the two last brackets). Classes seen in training
are predicted by alpha u(c) u(w)ᵀ + (1 - alpha) u(r) u(w)ᵀ, new ones by u(c) u(w)ᵀ alone.

Gradient. With P the softmax of the image's logits less 1 at the label, over B, and Q the tokens', in unit rows C, R, W:
dC = alpha s P W - (anchor/B) C', dR = (1 - alpha) s Q W, dW = s (alpha Pᵀ C + (1 - alpha) Qᵀ R) - (anchor/K) W'; then
dx = (du - u (u·du)) / |x|. ds = (alpha sum P∘(C Wᵀ) + (1 - alpha) sum Q∘(R Wᵀ)).

Shapes: image, tokens, image_before (B, D); text, text_before (K, D), K >= 2; labels (B,) from 0 to K - 1. Ranges:
scale > 0, alpha in [0, 1], anchor >= 0. A zero row has cosine 0 with all and no gradient.

Source. Guo, Gu 2025, arXiv 2503.08497; checked against the official code, yunncheng/MMRL, trainers/mmrl.py (MMRL_Loss):
scale 100 whatever the towers have learned, alpha 0.7, anchor 1.0, which it tunes for each data set from 0.01 to 7.
Its loss of MMRL++ (arXiv 2505.10088, trainers/mmrlpp.py) is the same.
"""

import math

from mini_repr.autograd import log_softmax, stop_gradient, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Fraction, Labels, NonNegative, Positive, Rows, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

_TWO = [[1.0, 0.0], [0.0, 2.0]]
_SAME = {"image": _TWO, "tokens": _TWO, "text": _TWO, "image_before": _TWO, "text_before": _TWO, "labels": [0, 1]}

_TEX = {
    "definition": r"""
L = \alpha \, \mathrm{CE}(s \, C W^\top) + (1 - \alpha) \, \mathrm{CE}(s \, R W^\top) + \lambda \Bigl( 1 - \frac{1}{B}
\sum_b C_b \cdot C_b' \Bigr) + \lambda \Bigl( 1 - \frac{1}{K} \sum_k W_k \cdot W_k' \Bigr)

C, R, W: \text{unit rows of images, tokens, classes}
""",
    "gradient": r"""
\mathrm{d}C = \alpha \, s \, P W - \frac{\lambda}{B} C'

\mathrm{d}R = (1 - \alpha) \, s \, Q W

\mathrm{d}W = s \, \bigl( \alpha P^\top C + (1 - \alpha) Q^\top R \bigr) - \frac{\lambda}{K} W'
""",
}


@loss(
    paper=("058", "086"),
    tex=_TEX,
    variants={
        "class_row_alone": variant("cosine cross-entropy of the image's row, no anchors", alpha=1.0, anchor=0.0),
        "free": variant("no anchors", anchor=0.0),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("image", "tokens", "text", "image_before", "text_before"),
        at_least(0),
        exact("towers as they were: cross-entropy alone", math.log(1 + math.exp(-3.0)), scale=3.0, **_SAME),
        exact(
            "and an image's row turned back costs 2 anchors more",
            math.log(1 + math.exp(-3.0)) + 4.0,
            **{**_SAME, "image_before": [[-1.0, 0.0], [0.0, -2.0]]},
            scale=3.0,
            anchor=2.0,
        ),
    ],
    sizes={"K": 4},
)
def mmrl(
    image: Rows("B D"),
    tokens: Rows("B D"),
    text: Rows("K>=2 D"),
    image_before: Rows("B D", frozen=True),
    text_before: Rows("K D", frozen=True),
    labels: Labels("B", classes="K"),
    scale: WithGradient(Positive) = 100.0,
    alpha: Fraction = 0.7,
    anchor: NonNegative = 1.0,
):
    (c, to_image), (r, to_tokens), (w, to_text) = (unit_rows.on_arrays(x) for x in (image, tokens, text))
    c0, w0 = (unit_rows.on_arrays(x)[0] for x in (image_before, text_before))
    seen, p = _cross_entropy(scale * (c @ w.T), labels)
    beside, q = _cross_entropy(scale * (r @ w.T), labels)
    away = 2 - (c * c0).sum(axis=1).mean() - (w * w0).sum(axis=1).mean()
    value = alpha * seen + (1 - alpha) * beside + anchor * away

    def backward(g):
        of_c, of_r, held = g * alpha, g * (1 - alpha), g * anchor
        dc = of_c * scale * (p @ w) - (held / len(c)) * c0
        dr = of_r * scale * (q @ w)
        pc, qr = p.T @ c, q.T @ r
        dw = scale * (of_c * pc + of_r * qr) - (held / len(w)) * w0
        return to_image(dc), to_tokens(dr), to_text(dw), ((of_c * pc + of_r * qr) * w).sum()

    return value, backward, {"image": seen, "tokens": beside, "anchors": away}


def _cross_entropy(logits, labels):
    """The mean over rows of the cross-entropy, and its gradient."""
    xp = backend_of(logits).xp
    own = (xp.arange(len(labels)), labels)
    logits = logits - logits.max(axis=1, keepdims=True)
    shares = xp.exp(logits)
    total = shares.sum(axis=1, keepdims=True)
    value = (xp.log(total[:, 0]) - logits[own]).mean()
    shares /= total
    shares[own] -= 1
    return value, shares / len(labels)


@definition(mmrl)
def mmrl_definition(image, tokens, text, image_before, text_before, labels, scale, alpha, anchor):
    c, r, w = (unit_rows(x) for x in (image, tokens, text))
    c0, w0 = (unit_rows(stop_gradient(x)) for x in (image_before, text_before))
    own = labels[:, None] == backend_of(labels).xp.arange(text.shape[0])

    def cross_entropy(rows):
        return -(log_softmax(scale * rows @ w.T) * own).sum(axis=1).mean()

    image_away, text_away = (1 - (x * y).sum(axis=1).mean() for x, y in ((c, c0), (w, w0)))
    return alpha * cross_entropy(c) + (1 - alpha) * cross_entropy(r) + anchor * image_away + anchor * text_away
