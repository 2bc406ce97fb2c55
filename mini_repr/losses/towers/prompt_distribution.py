"""Prompt distribution: classify by many prompts at once, through a bound on the cross-entropy of a Gaussian of them.

Definition. With z_b = image_b / |image_b| and w_kn = text_kn / |text_kn| the row of class k under prompt n of N, mean
m_k = mean_n w_kn (not of length 1 again), deviations d_kn = w_kn - m_k, scale s and y the label of image b,

    full       V_bk = (1/c) sum_n ( z_b·(d_yn - d_kn) )²
    diagonal   V_bk = (1/c) sum_n sum_i z_bi² (d_yni - d_kni)²
    logit_bk   = s z_b·m_k + s² V_bk / 2,        L = mean_b -log softmax_k(logit_b)_y

c is N ("N"), N - 1 or N + 1 (``divisor``). V_by = 0: the right class's logit is as it was, wrong ones grow by how much
their rows and the right one's move apart from prompt to prompt. If the rows of all classes are jointly Gaussian with
these means and the covariance with c = N, "full", L is at least the expected cross-entropy of a draw of them: for such
w, E log sum_k e^{s z·(w_k - w_y)} <= log sum_k E e^{s z·(w_k - w_y)} (Jensen), and E e^x = e^{mean + variance / 2}.

Gradient. With P_bk = (softmax - [k = y]) / B and q_bkn = z_b·(d_kn - d_yn), "full": H = (s²/c) P q, less sum_k H where
k = y; dz_b = s sum_k P_bk m_k + sum_kn H_bkn d_kn, dd_kn = sum_b H_bkn z_b. "diagonal": M_jki = (s²/c) sum_{b: y=j}
P_bk z_bi², dd_kn = sum_j (M_jk + M_kj) (d_kn - d_jn), dz_b = s sum_k P_bk m_k + (s²/c) z_b sum_kn P_bk (d_kn - d_yn)².
Then dw_kn = (s/N) sum_b P_bk z_b + dd_kn - mean_n dd_kn, and rows of length 1 as usual. ds = sum P (z·m_k + s V).

Shapes: image (B, D); text (K, N, D), K >= 2; labels (B,) from 0 to K - 1. scale > 0; with 100, as CLIP has it, the
variances count 5,000 times. One prompt, or equal ones: the cross-entropy of s times the cosines. A zero row has cosine
0 and no gradient.

Source. Lu et al. 2022, arXiv 2205.03340 (ProDA): its eq. of the upper bound. No official code was found. Public
re-implementations that share the variable diag_cov_martix (seven, in excerpts) are ``public_code``: the diagonal, over
N + 1, as the covariances of each dimension, Sigma_kk + Sigma_yy - 2 Sigma_ky, which round-off can make negative.
"""

import math

from mini_repr.autograd import log_softmax, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Labels, Positive, Rows, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

DIVISORS = {"N": 0, "N-1": -1, "N+1": 1}
_ALIKE = [[[1.0, 0.0]] * 3, [[0.0, 2.0]] * 3]

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_b \log \mathrm{softmax}_k \Bigl( s \, z_b \cdot m_k + \frac{s^2}{2} V_{bk} \Bigr)_{y_b}

V_{bk} = \frac{1}{c} \sum_n \bigl( z_b \cdot (d_{yn} - d_{kn}) \bigr)^2

m_k = \frac{1}{N} \sum_n w_{kn}

d_{kn} = w_{kn} - m_k
""",
    "gradient": r"""
H_{bkn} = \frac{s^2}{c} \, P_{bk} \, z_b \cdot (d_{kn} - d_{yn}) - [k = y_b] \sum_l \frac{s^2}{c} \, P_{bl} \, z_b
\cdot (d_{ln} - d_{yn})

\mathrm{d}z_b = s \sum_k P_{bk} \, m_k + \sum_{k,n} H_{bkn} \, d_{kn}

\mathrm{d}d_{kn} = \sum_b H_{bkn} \, z_b
""",
}


@loss(
    paper="062",
    tex=_TEX,
    variants={
        "diagonal": variant("the covariance of each dimension alone", covariance="diagonal"),
        "public_code": variant("so, divided by N + 1", covariance="diagonal", divisor="N+1"),
        "unbiased": variant("the covariance divided by N - 1", divisor="N-1"),
    },
    invariants=[
        permutation("B"),
        permutation("N"),
        rotation("D"),
        row_scaling("image", "text"),
        at_least(0),
        exact("equal prompts", math.log(1 + math.exp(-2.0)), image=[[3.0, 0.0]], text=_ALIKE, labels=[0], scale=2.0),
        exact(
            "two prompts that turn the other class about: 1 against e^(1/2)",
            math.log(1 + math.exp(0.5)),
            image=[[1.0, 0.0, 0.0]],
            text=[[[0.0, 0.0, 1.0]] * 2, [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]],
            labels=[0],
            scale=1.0,
        ),
    ],
    sizes={"K": 3, "N": 4},
)
def prompt_distribution(
    image: Rows("B D"),
    text: Rows("K>=2 N D"),
    labels: Labels("B", classes="K"),
    scale: WithGradient(Positive) = 20.0,
    covariance: Choice("full", "diagonal") = "full",
    divisor: Choice(*DIVISORS) = "N",
):
    xp = backend_of(image).xp
    (z, to_image), (w, to_text) = unit_rows.on_arrays(image), unit_rows.on_arrays(text)
    (classes, prompts, width), rows = text.shape, xp.arange(len(z))
    mean = w.mean(axis=1)
    d = w - mean[:, None]
    count = max(prompts + DIVISORS[divisor], 1)
    own = (labels[:, None] == xp.arange(classes)).astype(z.dtype)
    if covariance == "full":
        q = (z @ d.reshape(-1, width).T).reshape(-1, classes, prompts)
        q -= q[rows, labels][:, None]
        variance = (q * q).sum(axis=2) / count
    else:
        apart = sum((d[:, None, n] - d[None, :, n]) ** 2 for n in range(prompts))[labels]  # (B, K, D)
        variance = (apart * (z * z)[:, None]).sum(axis=2) / count
    cosines = z @ mean.T
    logits = scale * cosines + (scale**2 / 2) * variance
    logits -= logits.max(axis=1, keepdims=True)
    shares = xp.exp(logits)
    total = shares.sum(axis=1)
    value = (xp.log(total) - logits[rows, labels]).mean()

    def backward(g):
        p = (shares / total[:, None] - own) * (g / len(z))
        dz, weight = scale * (p @ mean), scale**2 / count
        if covariance == "full":
            h = (weight * p)[:, :, None] * q
            h -= own[:, :, None] * h.sum(axis=1)[:, None]
            h = h.reshape(len(z), -1)
            dz += h @ d.reshape(-1, width)
            dd = (h.T @ z).reshape(d.shape)
        else:
            m = weight * (own.T @ (p[:, :, None] * (z * z)[:, None]).reshape(len(z), -1))
            m = m.reshape(classes, classes, width)
            m = m + m.swapaxes(0, 1)
            dd = d * m.sum(axis=0)[:, None] - xp.stack(
                [(m * d[None, :, n]).sum(axis=1) for n in range(prompts)], axis=1
            )
            dz += weight * z * (p[:, :, None] * apart).sum(axis=1)
        dw = dd - dd.mean(axis=1, keepdims=True) + (scale / prompts) * (p.T @ z)[:, None]
        return to_image(dz), to_text(dw), (p * (cosines + scale * variance)).sum()

    return value, backward


@definition(prompt_distribution)
def prompt_distribution_definition(image, text, labels, scale, covariance, divisor):
    z, w = unit_rows(image), unit_rows(text)
    mean = w.mean(axis=1)
    d, count = w - mean.reshape(len(mean), 1, -1), max(text.shape[1] + DIVISORS[divisor], 1)
    losses = []
    for b, y in enumerate(labels.tolist()):
        apart = d[y] - d  # (K, N, D)
        moved = (apart * z[b]).sum(axis=2) ** 2 if covariance == "full" else ((apart * z[b]) ** 2).sum(axis=2)
        logits = scale * (mean * z[b]).sum(axis=1) + scale**2 / 2 * moved.sum(axis=1) / count
        losses.append(-log_softmax(logits.reshape(1, -1))[0, y])
    return sum(losses[1:], losses[0]) / len(losses)
