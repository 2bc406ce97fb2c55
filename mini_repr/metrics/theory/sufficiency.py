"""Approximate sufficiency: what an encoder, or a score of pairs, loses of a joint distribution of two views.

P (X, Y) is the joint of two views with marginals p and q, r = P / (p qᵀ), f a convex generator with f(1) = 0 ("kl":
r log r; "chi2": (r - 1)²/2; "hellinger": (√r - 1)²), I_f = E_pq f(r) the information of the views in each other.

An encoder T of the first view (here: which cluster x falls into) keeps r_T(t, y) = E[r | t, y] under p qᵀ. Its loss of
sufficiency has three equal forms, 0 exactly where r is a function of (T, y):

    of information   I_f(X; Y) - I_f(T; Y)
    variational      min over S(T, y) of R_f(S) - min over S(x, y) of R_f(S)
    Bregman          E_pq[ f(r) - f(r_T) - f'(r_T) (r - r_T) ]

where R_f is the risk of a score S, the limit of a contrastive loss for many negatives, whose minimum is -I_f, at f'(r):

    R_f(S) = -E_P S + E_x min_c ( E_q f*(S - c) + c ),    for "kl"   -E_P S + E_x log E_q e^S,       InfoNCE's
                                                          for "chi2" -E_P S + E_pq S + E_x Var_q S / 2, the spectral one

Downstream. A score stands for the conditional law P_S(y | x) = q f*'(S - c), c the minimiser: softmax(S + log q) for
"kl". Of every task u(y) with |u| <= 1 the answers E[u | x] and E_S[u | x] differ by at most the L1 distance of the
laws, whose mean square over x a small excess risk bounds:

    E_x | P(. | x) - P_S(. | x) |_1²  <=  2 (R_f(S) - min R_f)                       "kl" (Pinsker) and "chi2"
                                      <=  E_x[ excess(x) E_q √r_S (√r + √r_S)² ]     "hellinger", r_S = f*'(S - c)

An encoder that tells every x from every other has no loss, whatever its scores: take clusters, or a score.

Source: Lin, Mei 2025, arXiv 2503.17538, who bound downstream tasks by such a measure of near-minimisers of contrastive
losses. The names of the forms are ours, the identities and the constants are derived: Pinsker's inequality; Cauchy and
Schwarz, for "hellinger" with excess(x) = E_q (√r - √r_S)² / √r_S.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.metrics.theory.divergences import GENERATORS, information, ratios
from mini_repr.pages.arguments import Choice, Labels, Rows
from mini_repr.pages.declare import theorem
from mini_repr.pages.page import definition

Kind = Choice(*GENERATORS)


class Sufficiency(NamedTuple):
    """I_f(X; Y), I_f(T; Y), and the loss of sufficiency in its three forms."""

    whole: float
    kept: float
    of_information: float
    variational: float
    bregman: float


class ExcessRisk(NamedTuple):
    """R_f(S), its minimum -I_f, their difference; the mean square L1 distance of the laws, and what bounds it."""

    risk: float
    least: float
    excess: float
    downstream: float
    bound: float


@theorem(paper="007", sizes={"X": 6, "Y": 4})
def sufficiency(joint: Rows("X Y", frozen=True, above=0), clusters: Labels("X"), kind: Kind = "kl"):
    """What an encoder that tells clusters apart loses of the information in two views: its loss of sufficiency.

    Args:
        joint: weights > 0 of pairs of views, divided by their sum. clusters: which T(x) each first view has.
    """
    joint = joint / joint.sum()
    r, p, q = ratios(joint)
    codes = np.unique(clusters, return_inverse=True)[1]
    merged = np.zeros((codes.max() + 1, len(q)))
    np.add.at(merged, codes, joint)
    r_t, f = ratios(merged)[0][codes], GENERATORS[kind]
    whole, kept = information(joint, kind), information(merged, kind)
    return Sufficiency(
        whole=whole,
        kept=kept,
        of_information=whole - kept,
        variational=risk_of(joint, f.derivative(r_t), kind) - risk_of(joint, f.derivative(r), kind),
        bregman=float(p @ (f.value(r) - f.value(r_t) - f.derivative(r_t) * (r - r_t)) @ q),
    )


@definition(sufficiency)
def sufficiency_definition(joint, clusters, kind):
    """By sums over cells; the variational form by an ascent to the largest E_P S - E_pq f*(S) of each table."""
    total = float(joint.sum())
    cells = {(x, y): float(joint[x, y]) / total for x in range(len(joint)) for y in range(joint.shape[1])}
    merged = {}
    for (x, y), weight in cells.items():
        merged[int(clusters[x]), y] = merged.get((int(clusters[x]), y), 0.0) + weight
    f = GENERATORS[kind]

    def side(table, axis):
        sums = {}
        for cell, weight in table.items():
            sums[cell[axis]] = sums.get(cell[axis], 0.0) + weight
        return sums

    def informed(table):
        p, q = side(table, 0), side(table, 1)
        return sum(p[x] * q[y] * f.value(weight / p[x] / q[y]) for (x, y), weight in table.items())

    def supremum(table):
        p, q, found, highest = side(table, 0), side(table, 1), 0.0, 1 if kind == "hellinger" else 60
        for (x, y), weight in table.items():  # each cell has a score of its own
            s = _root(lambda s, r=weight / p[x] / q[y]: f.conjugate_derivative(s) - r, highest)
            found += weight * s - p[x] * q[y] * f.conjugate(s)
        return found

    p, q, p_t = side(cells, 0), side(cells, 1), side(merged, 0)
    bregman = 0.0
    for (x, y), weight in cells.items():
        r, r_t = weight / p[x] / q[y], merged[int(clusters[x]), y] / p_t[int(clusters[x])] / q[y]
        bregman += p[x] * q[y] * (f.value(r) - f.value(r_t) - f.derivative(r_t) * (r - r_t))
    whole, kept = informed(cells), informed(merged)
    return Sufficiency(whole, kept, whole - kept, supremum(cells) - supremum(merged), bregman)


@theorem(paper="007", sizes={"X": 5, "Y": 4})
def excess_risk(joint: Rows("X Y", frozen=True, above=0), scores: Rows("X Y", frozen=True), kind: Kind = "kl"):
    """How far a score of pairs is from the least risk, and how far every downstream answer may be off for it.

    For "hellinger" scores are taken up to a constant of each x, as for the others; every score has a law.

    Args:
        joint: weights > 0 of pairs of views, divided by their sum. scores: S, one of each pair.
    """
    joint = joint / joint.sum()
    r, p, q = ratios(joint)
    least = -information(joint, kind)
    risk = risk_of(joint, scores, kind)
    r_s = GENERATORS[kind].conjugate_derivative(scores - offsets(scores, q, kind)[:, None])
    if kind == "hellinger":
        roots, roots_s = np.sqrt(r), np.sqrt(r_s)
        each = ((roots - roots_s) ** 2 / roots_s) @ q * ((roots_s * (roots + roots_s) ** 2) @ q)
        bound = float(p @ each)
    else:
        bound = 2 * (risk - least)
    return ExcessRisk(
        risk=risk,
        least=least,
        excess=risk - least,
        downstream=float(p @ (np.abs(r - r_s) @ q) ** 2),
        bound=bound,
    )


@definition(excess_risk)
def excess_risk_definition(joint, scores, kind):
    """By loops, c by bisection; the excess as the Bregman divergence of r from r_S."""
    joint = joint / joint.sum()
    p, q, f = joint.sum(axis=1), joint.sum(axis=0), GENERATORS[kind]
    risk = least = excess = downstream = bound = 0.0
    for x, s in enumerate(scores):

        def mass(shift, s=s):
            return sum(weight * f.conjugate_derivative(s[y] + shift) for y, weight in enumerate(q))

        c = -_root(lambda shift, mass=mass: mass(shift) - 1, 1 - max(s) if kind == "hellinger" else 60)
        own = distance = factor = 0.0
        for y, weight in enumerate(q):
            r, r_s = joint[x, y] / p[x] / weight, f.conjugate_derivative(s[y] - c)
            risk += -joint[x, y] * s[y] + p[x] * weight * (f.conjugate(s[y] - c) + c)
            least -= p[x] * weight * f.value(r)
            own += weight * (f.value(r) - f.value(r_s) - f.derivative(r_s) * (r - r_s))
            distance += weight * abs(r - r_s)
            factor += weight * np.sqrt(np.abs(r_s)) * (np.sqrt(r) + np.sqrt(np.abs(r_s))) ** 2
        excess += p[x] * own
        downstream += p[x] * distance**2
        bound += p[x] * own * (factor if kind == "hellinger" else 2)
    return ExcessRisk(float(risk), float(least), float(excess), float(downstream), float(bound))


def risk_of(joint, scores, kind):
    """R_f(S) of probabilities and scores (X, Y)."""
    p, q = joint.sum(axis=1), joint.sum(axis=0)
    c = offsets(scores, q, kind)
    return float(p @ (GENERATORS[kind].conjugate(scores - c[:, None]) @ q + c) - (joint * scores).sum())


def offsets(scores, q, kind):
    """The c (X,) that minimise E_q f*(S - c) + c: where E_q f*'(S - c) = 1."""
    if kind == "chi2":
        return scores @ q
    top = scores.max(axis=1)
    if kind == "kl":
        return top + np.log(np.exp(scores - top[:, None]) @ q) - 1
    # E_q (1 - S + c)^-2 is convex and falls in c. It is 1 or more where the largest S alone makes it so; from there
    # Newton's method comes from the left and never passes the root.
    c = top - 1 + np.sqrt(q[scores.argmax(axis=1)])
    for _ in range(100):
        inner = 1 / (1 - scores + c[:, None])
        step = (inner**2 @ q - 1) / (2 * inner**3 @ q)
        c = c + step
        if np.abs(step).max() <= 1e-15 * (1 + np.abs(c).max()):
            break
    return c


def _root(rising, high):
    """Where a function that rises through 0 below ``high`` does so, by bisection."""
    low = -60.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return low
