"""Topic ELBO: rebuild the words of a document from its topics, and keep the topics near their prior.

Definition. Of B documents with counts x_bv of V words, an encoder gives mean m_b and log variance l_b of K numbers, and
a decoder scores s_bv of the words from the mixture of topics softmax(m_b + e^{l_b/2} noise):

    L = 1/B sum_b [ - sum_v x_bv log softmax(s_b)_v  +  KL( N(m_b, e^{l_b}) || N(0, r) ) ],      r = (1 - 1/K)/alpha

    KL = 1/2 sum_k [ (e^{l_bk} + m_bk²)/r - 1 + log r - l_bk ]

N(0, r) is the Gaussian before the softmax that is nearest to a Dirichlet distribution of topics with ``alpha`` for
each (Laplace's approximation). L is the negative of a lower bound on the log-likelihood of the words (up to their
multinomial coefficient). ``per_word`` divides by the words of the batch in place of its documents.

Gradient. With the R documents or words to divide by, n_b the words of document b and P = softmax(s):
ds_bv = (n_b P_bv - x_bv)/R, dm_bk = m_bk/(r R), dl_bk = (e^{l_bk}/r - 1)/(2 R). The counts are data: no gradient.

Shapes: scores, counts (B, V), mean, log_variance (B, K) with K >= 2. Ranges: alpha > 0, counts >= 0, log_variance at
most 80, beyond which float32 has no sums of variances. A document without words has the KL alone.

Source. Srivastava, Sutton 2017, arXiv 1703.01488 (ProdLDA); used by Nguyen et al. 2024, arXiv 2402.07577,
whose public ancestor AdhyaSuman/CLNTM has the same bound with alpha = 1.
"""

import math

from mini_repr.autograd import exp, log_softmax
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Flag, Positive, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss, variant

LARGEST_LOG_VARIANCE = 80.0
_AT_THE_PRIOR = {"mean": [[0.0, 0.0]], "log_variance": [[math.log(0.5)] * 2]}

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_b \Bigl[ -\sum_v x_{bv} \log \mathrm{softmax}(s_b)_v + \mathrm{KL}_b \Bigr]

\mathrm{KL}_b = \frac{1}{2} \sum_k \Bigl[ \frac{e^{l_{bk}} + m_{bk}^2}{r} - 1 + \log r - l_{bk} \Bigr]

r = \frac{1}{\alpha} \Bigl( 1 - \frac{1}{K} \Bigr)
""",
    "gradient": r"""
\mathrm{d}s_{bv} = \frac{n_b \, P_{bv} - x_{bv}}{R}

\mathrm{d}m_{bk} = \frac{m_{bk}}{r R}

\mathrm{d}l_{bk} = \frac{e^{l_{bk}}/r - 1}{2 R}
""",
}


@loss(
    paper="045",
    tex=_TEX,
    variants={"per_word": variant("the mean over the words of the batch, not its documents", per_word=True)},
    invariants=[
        permutation("B"),
        permutation("V"),
        permutation("K"),
        constant_shift("scores"),
        at_least(0),
        exact(
            "three words of four, all alike: 3 log 4",
            3 * math.log(4),
            scores=[[0.0] * 4],
            counts=[[1.0, 0.0, 2.0, 0.0]],
            **_AT_THE_PRIOR,
        ),
        exact("no words, at the prior: 0", 0.0, scores=[[0.3, 2.0]], counts=[[0.0, 0.0]], **_AT_THE_PRIOR),
    ],
)
def topic_elbo(
    scores: Rows("B V"),
    counts: Rows("B V", frozen=True, least=0),
    mean: Rows("B K>=2"),
    log_variance: Rows("B K"),
    alpha: Positive = 1.0,
    per_word: Flag = False,
):
    xp = backend_of(scores).xp
    if float(log_variance.max()) > LARGEST_LOG_VARIANCE:
        raise ValueError(
            f"topic_elbo: log_variance: got {float(log_variance.max()):g}, expected at most {LARGEST_LOG_VARIANCE:g}"
        )
    log_p = log_softmax.on_arrays(scores)[0]
    r = (1 - 1 / mean.shape[1]) / alpha
    variance = xp.exp(log_variance)
    cost = -(counts * log_p).sum()
    divergence = 0.5 * ((variance + mean * mean) / r - 1 + math.log(r) - log_variance).sum()
    parts = _parts(xp, counts, per_word)

    def backward(g):
        g = g / parts
        ds = xp.exp(log_p)
        ds *= counts.sum(axis=1, keepdims=True)
        ds -= counts
        return g * ds, (g / r) * mean, (g / 2) * (variance / r - 1)

    return (cost + divergence) / parts, backward, {"words": cost / parts, "divergence": divergence / parts}


def _parts(xp, counts, per_word):
    """What the sum is divided by: documents or words (one, of a batch without any)."""
    return xp.maximum(counts.sum(), 1) if per_word else len(counts)


@definition(topic_elbo)
def topic_elbo_definition(scores, counts, mean, log_variance, alpha, per_word):
    r = (1 - 1 / mean.shape[1]) / alpha
    cost = -(counts * log_softmax(scores)).sum(axis=1)
    divergence = ((exp(log_variance) + mean**2) / r - 1 + math.log(r) - log_variance).sum(axis=1) / 2
    return (cost + divergence).sum() / _parts(backend_of(counts).xp, counts, per_word)
