"""The products of all pairs of vectors in a set, summed: what a factorisation machine adds to linear terms."""

from mini_repr.autograd import primitive


@primitive
def pair_products(v, /):
    """sum over f < g of v_f·v_g for vectors v (B, F, D): (B,), in O(F D) for each row.

    It is half of |sum_f v_f|² - sum_f |v_f|²; dv_f = (sum_g v_g) - v_f. Source: Rendle 2010, "Factorization machines",
    lemma 3.1.
    """
    whole = v.sum(axis=1)
    output = ((whole * whole).sum(axis=1) - (v * v).sum(axis=(1, 2))) / 2
    return output, lambda g: g[:, None, None] * (whole[:, None] - v)
