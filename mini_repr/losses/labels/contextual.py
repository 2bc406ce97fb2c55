"""Contextual: two rows are alike if their neighbourhoods overlap.

Definition. With u_i = z_i/|z_i|, s_ij = u_i·u_j, d_ij = 2 - 2 s_ij, y_ij = [i and j have one label], k ``neighbours``
(the row itself is one of them) and d_i(k) row i's k-th smallest distance,

    A_ij = [d_ij <= d_i(k) + epsilon],   C_ij = [d_ij <= d_i(k/2) + epsilon],   R_ij = C_ij C_ji   (k/2 rounded down)
    W_ij = A_ij ( sum_m A_im A_jm / sum_m A_im + sum_m (1-A_im)(1-A_jm) / sum_m (1-A_im) ) / 2   (shared neighbours)
    J_i  = mean of W_j over the j with R_ij = 1   (averaged over close mutual neighbours),   c_ij = (J_ij + J_ji) / 2

    contextual  = 1/N² sum_{i != j} (y_ij - c_ij)²
    contrastive = mean of [positive_margin - s_ij]_+ over the pairs i != j of y_ij = 1 where it is not 0
                + mean of [s_ij - negative_margin]_+ over the pairs of y_ij = 0 where it is not 0
    regulariser = (mean_ij s_ij - target_similarity)²
    L = w_c contextual + w_r regulariser + (1 - w_c - w_r) contrastive,   w: contextual_weight, regulariser_weight

Gradient. That of a surrogate: each step [d <= b] passes its gradient straight through to -d, times ``slope``; b and the
sums over A that W is divided by are constants. The page's backward is the chain rule through the products of the 0-1
matrices; s_ij receives 2 slope (dA_ij + dC_ij) and the other parts' share. du = (dS + dSᵀ) u and
dz = (du - u (u·du)) / |z|.

Shapes: z (N, D), N >= neighbours; labels (N,), any integers. Stores N x N matrices, as neighbourhoods do: for batches.
Ranges: neighbours >= 2; epsilon >= 0; slope > 0; w_c + w_r <= 1. A row that is everyone's neighbour has no second share
in W. A zero row has similarity 0 to everything and a zero gradient. Named parts: the three above.

Source. Liao, Tsiligkaridis, Kulis 2022, arXiv 2210.01908; all of the above and its settings are read off the official
code (Chris210634/metric-learning-using-contextual-similarity, losses.py and main.py: 256 x 256 images, k = 4 images per
class). It has the pairs i = j among the contrastive ones, which below a positive_margin of 1 are 0 and not counted. Its
224 x 224 folder weighs otherwise and leaves the regulariser to a separate switch.
"""

from mini_repr.autograd import maximum, off_diagonal, relu, stop_gradient, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Count, Fraction, Labels, NonNegative, Positive, Real, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, relabelling, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

_TWO_POINTS = {"z": [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]], "labels": [0, 0, 1, 1], "neighbours": 2}

_TEX = {
    "definition": r"""
L = w_c \, L_c + w_r \, L_r + (1 - w_c - w_r) \, L_\mathrm{contrastive}

L_c = \frac{1}{N^2} \sum_{i \ne j} (y_{ij} - c_{ij})^2

L_r = \Bigl( \frac{1}{N^2} \sum_{i,j} s_{ij} - \tau \Bigr)^2

A_{ij} = [d_{ij} \le d_i(k) + \varepsilon]

W_{ij} = \frac{A_{ij}}{2} \Bigl( \frac{\sum_m A_{im} A_{jm}}{\sum_m A_{im}} + \frac{\sum_m (1 - A_{im}) (1 -
A_{jm})}{\sum_m (1 - A_{im})} \Bigr)

c_{ij} = \frac{J_{ij} + J_{ji}}{2}

J_i: \text{the mean of } W_j \text{ over close mutual neighbours}
""",
    "gradient": r"""
\mathrm{d}d_{ij} = -\text{slope} \cdot \mathrm{d}[d_{ij} \le b]

\mathrm{d}u = (\mathrm{d}S + \mathrm{d}S^\top) \, u
""",
}


@loss(
    paper="079",
    tex=_TEX,
    variants={
        "contextual_only": variant("the contextual part alone", contextual_weight=1.0, regulariser_weight=0.0),
        "contrastive_only": variant("the baseline with two margins", contextual_weight=0.0, regulariser_weight=0.0),
        "wide": variant("five neighbours, no tolerance", neighbours=5, epsilon=0.0),
    },
    invariants=[
        permutation("N"),
        rotation("D"),
        row_scaling("z"),
        relabelling(),
        at_least(0),
        exact("two classes in two orthogonal points: the regulariser alone", 0.1 * 0.25**2, **_TWO_POINTS),
        exact(
            "labels against the neighbourhoods: 1 for eight of sixteen pairs",
            0.5,
            contextual_weight=1.0,
            regulariser_weight=0.0,
            **_TWO_POINTS | {"labels": [0, 1, 0, 1]},
        ),
    ],
)
def contextual(
    z: Rows("N>=2 D"),
    labels: Labels("N"),
    neighbours: Count(least=2) = 4,
    contextual_weight: Fraction = 0.4,
    regulariser_weight: Fraction = 0.1,
    epsilon: NonNegative = 0.05,
    slope: Positive = 10.0,
    positive_margin: Real = 0.75,
    negative_margin: Real = 0.6,
    target_similarity: Real = 0.25,
):
    xp = backend_of(z).xp
    count = len(z)
    if neighbours > count:
        raise ValueError(f"contextual: neighbours: got {neighbours}, expected at most the {count} rows")
    if contextual_weight + regulariser_weight > 1:
        both = f"{contextual_weight:g} + {regulariser_weight:g}"
        raise ValueError(f"contextual: contextual_weight: got {both} with regulariser_weight, expected at most 1")
    u, to_z = unit_rows.on_arrays(z)
    s = u @ u.T
    y = labels[:, None] == labels
    selves = xp.arange(count), xp.arange(count)

    # The neighbourhoods A and C by similarity: d <= d(k) + epsilon is s >= s(k) - epsilon / 2. Then W, R, J and c.
    by_similarity = xp.sort(s, axis=1)
    A, C = (
        (s >= by_similarity[:, count - k, None] - epsilon / 2).astype(z.dtype) for k in (neighbours, neighbours // 2)
    )
    members = A.sum(axis=1, keepdims=True)
    strangers = xp.maximum(count - members, 1)
    shared = A @ A.T
    overlap = (shared / members + (shared + (count - members - members.T)) / strangers) / 2
    W = overlap * A
    R = C * C.T
    partners = xp.maximum(R.sum(axis=1, keepdims=True), 1)
    J = R @ W / partners
    miss = y - (J + J.T) / 2  # y - c
    miss[selves] = 0

    short, long = (positive_margin - s) * y, (s - negative_margin) * ~y
    short[selves] = 0
    active = [short > 0, long > 0]
    shares = [xp.asarray(1 / xp.maximum(a.sum(), 1), dtype=z.dtype) for a in active]
    gap = s.mean() - target_similarity
    terms = {
        "contextual": (miss * miss).sum() / count**2,
        "contrastive": (short * active[0]).sum() * shares[0] + (long * active[1]).sum() * shares[1],
        "regulariser": gap * gap,
    }
    weights = {"contextual": contextual_weight, "regulariser": regulariser_weight}
    weights["contrastive"] = 1 - contextual_weight - regulariser_weight
    value = sum(terms[name] * weight for name, weight in weights.items())

    def backward(g):
        dJ = miss * (g * (-2 * contextual_weight / count**2))
        dJ /= partners
        dW = R @ dJ
        dR = dJ @ W.T - (dJ * J).sum(axis=1, keepdims=True)
        d_shared = dW * A / 2
        through_strangers = d_shared / strangers
        d_shared /= members
        d_shared += through_strangers
        dA = dW * overlap + (d_shared + d_shared.T) @ A
        dA -= through_strangers.sum(axis=1, keepdims=True) + through_strangers.sum(axis=0)[:, None]
        dC = (dR + dR.T) * C.T
        ds = (dA + dC) * (2 * slope)
        ds += (active[1] * shares[1] - active[0] * shares[0]) * (g * weights["contrastive"])
        ds += g * regulariser_weight * 2 * gap / count**2
        return (to_z((ds + ds.T) @ u),)

    return value, backward, terms


@definition(contextual)
def contextual_definition(
    z,
    labels,
    neighbours,
    contextual_weight,
    regulariser_weight,
    epsilon,
    slope,
    positive_margin,
    negative_margin,
    target_similarity,
):
    xp = backend_of(labels).xp
    u = unit_rows(z)
    s = u @ u.T
    distance = 2 - 2 * s
    same = labels[:, None] == labels

    def within(k):
        """[d_ij <= d_i(k) + epsilon] with the gradient of -slope d."""
        bound = xp.sort(distance.data.real, axis=1)[:, k - 1, None] + epsilon
        return stop_gradient((distance.data.real <= bound) + slope * distance) - slope * distance

    near, close = within(neighbours), within(neighbours // 2)
    far = 1 - near
    members, strangers = (stop_gradient(x.sum(axis=1, keepdims=True)) for x in (near, far))
    context = near * (near @ near.T / members + far @ far.T / maximum(strangers, 1)) / 2
    mutual = close * close.T
    partners = mutual.sum(axis=1, keepdims=True)
    averaged = mutual @ context / where(partners.data.real > 0.5, partners, 1)
    miss = off_diagonal(same - (averaged + averaged.T) / 2)
    contextual_part = (miss * miss).sum() / len(labels) ** 2

    def active_mean(excess):
        return excess.sum() / max(1, int((excess.data.real > 0).sum()))

    short = off_diagonal(relu(positive_margin - s) * same)
    contrastive = active_mean(short) + active_mean(relu(s - negative_margin) * ~same)
    regulariser = (s.mean() - target_similarity) ** 2
    contrastive_weight = 1 - contextual_weight - regulariser_weight
    return contextual_weight * contextual_part + regulariser_weight * regulariser + contrastive_weight * contrastive
