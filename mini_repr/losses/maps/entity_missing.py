"""Entity missing: every word must have some place where it is looked at more than the others are.

Definition. With the maps e_1 .. e_M of the words that name things in an image, as shares of their own mass times a
large number, q_i = sharpness e_i / sum e_i,

    L = mean over images of  sum_i max(0, margin - (1/(M-1)) sum_{j != i} max(0, max_p (q_i - q_j)_p))

0 as soon as each leads every other somewhere by margin / sharpness of its mass; M margin where all maps are alike. One
thing alone misses nothing: 0.

Gradient. For each i whose hinge is open and each j over which it has a lead, at the place p of the lead (ties share),
q_i[p] receives -1/(M-1) and q_j[p] as much with the other sign, over B; then with S_i = sum e_i and h that of q_i,
de_i = (sharpness / S_i) (h - sum h q_i / sharpness).

Shapes: maps (B, M, H, W), numbers > 0. Ranges: sharpness, margin > 0.

Source. Izadi et al. 2025, arXiv 2503.06506; checked against the official code, hadi-hosseini/noise-refinement,
src/for_losses.py (compute_entity_disentangle_loss): sharpness 1000, with which a lead of 1/1000 is enough and the loss
nearly always 0. There one thing alone costs 1, which no map lowers.
"""

from mini_repr.autograd import max as largest
from mini_repr.autograd import relu
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Positive, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, scaling
from mini_repr.pages.loss import definition, loss, variant

_ALIKE = [[[[1.0, 3.0]], [[2.0, 6.0]], [[0.5, 1.5]]]]
_APART = [[[[3.0, 1.0]], [[1.0, 2.0]]]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_b \sum_i \max \Bigl( 0, \, m - \frac{1}{M - 1} \sum_{j \ne i} \max \bigl( 0, \max_p (q_{ip} -
q_{jp}) \bigr) \Bigr)

q_i = \kappa \, \frac{e_i}{\sum_p e_{ip}}
""",
    "gradient": r"""
h_{ip} = -\frac{1}{B (M - 1)} \qquad h_{jp} = \frac{1}{B (M - 1)} \quad (p \ \text{the place of the lead})

\mathrm{d}e_i = \frac{\kappa}{S_i} \Bigl( h_i - \sum_p \frac{h_{ip} \, q_{ip}}{\kappa} \Bigr)
""",
}


@loss(
    paper="055",
    tex=_TEX,
    variants={"official_code": variant("a lead of 1/1000 of the mass is enough", sharpness=1000.0)},
    invariants=[
        permutation("B"),
        permutation("M"),
        permutation("H"),
        permutation("W"),
        scaling("maps"),
        at_least(0),
        exact("maps that are alike: as many margins as words", 3.0, maps=_ALIKE),
        exact("words with places of their own", 0.0, maps=_APART),
    ],
)
def entity_missing(maps: Rows("B M H W", above=0), sharpness: Positive = 5.0, margin: Positive = 1.0):
    backend, (batch, count) = backend_of(maps), maps.shape[:2]
    xp, flat = backend.xp, maps.reshape(batch, count, -1)
    if count < 2:
        return maps.sum() * 0, lambda g: (xp.zeros_like(maps),)
    mass = flat.sum(axis=2, keepdims=True)
    q = flat * (sharpness / mass)
    ahead = q[:, :, None] - q[:, None]  # (B, i, j, P)
    lead = ahead.max(axis=3)
    short = margin - xp.maximum(lead, 0).sum(axis=2) / (count - 1)  # a word has no lead over itself

    def backward(g):
        acts = (short > 0)[:, :, None] & (lead > 0)
        weight = acts * (g / (batch * (count - 1)))
        places = ahead == lead[..., None]  # one, but for ties
        marks = (weight / places.sum(axis=3))[..., None] * places
        h = marks.sum(axis=1) - marks.sum(axis=2)  # q_j gains what q_i loses
        h -= (h * q).sum(axis=2, keepdims=True) / sharpness
        return ((h * (sharpness / mass)).reshape(maps.shape),)

    return xp.maximum(short, 0).sum() / batch, backward


@definition(entity_missing)
def entity_missing_definition(maps, sharpness, margin):
    batch, count = maps.shape[:2]
    total = 0 * maps.sum()
    for k in range(batch):
        q = [maps[k, i] * sharpness / maps[k, i].sum() for i in range(count)]
        for i in range(count if count > 1 else 0):
            leads = [relu(largest(q[i] - q[j])) for j in range(count) if j != i]
            total = total + relu(margin - sum(leads[1:], leads[0]) / (count - 1))
    return total / batch
