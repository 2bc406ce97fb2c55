"""Replaced token detection: of every word of a text, is it the original one?

Definition. With a score z_ij for place j of text i, high where the word there seems replaced, and ``mask``, the places
that count,

    L = sum_{ij in mask} -log p_ij / |mask|,     p_ij = sigmoid(z_ij) where the word was replaced, else sigmoid(-z_ij)

the mean over all words of the batch, not over texts. A place whose replacement happens to be the original word is no
replaced one: the caller says by words, not by places.

Gradient. z_ij receives (sigmoid(z_ij) - [replaced]) / |mask| within the mask and 0 outside.

Shapes: scores (N, T); replaced and mask (N, T) booleans. Scores of 0 give log 2. Scores of any size are safe.

Source. Clark, Luong, Le, Manning 2020, arXiv 2003.10555 (ELECTRA), section 2. Compared with google-research/electra,
run_pretraining.py (read): the same, but for 1e-6 added to |mask|.
"""

import math

from mini_repr.autograd import sigmoid, softplus, where
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Mask, Rows
from mini_repr.pages.invariants import at_least, exact, permutation
from mini_repr.pages.loss import definition, loss

_TEX = {
    "definition": r"""
L = -\frac{1}{|M|} \sum_{(i,j) \in M} \log p_{ij}

p_{ij} = \sigma(z_{ij}) \ \text{if replaced, else} \ \sigma(-z_{ij})
""",
    "gradient": r"""
\mathrm{d}z_{ij} = \frac{\sigma(z_{ij}) - [\text{replaced}]}{|M|} \quad ((i,j) \in M)
""",
}


@loss(
    paper="068",
    tex=_TEX,
    invariants=[
        permutation("N"),
        permutation("T"),
        at_least(0),
        exact(
            "scores of 0 give log 2",
            math.log(2),
            scores=[[0.0, 0.0]] * 2,
            replaced=[[True, False], [False, False]],
            mask=[[True, True], [True, False]],
        ),
        exact(
            "sure and right costs nothing",
            0.0,
            scores=[[1e4, -1e4]],
            replaced=[[True, False]],
            mask=[[True, True]],
        ),
    ],
)
def replaced_tokens(scores: Rows("N T"), replaced: Mask("N T", may_be_empty=True), mask: Mask("N T")):
    xp = backend_of(scores).xp
    counted = mask.astype(scores.dtype)
    counted /= counted.sum()
    value = (counted * softplus.on_arrays(xp.where(replaced, -scores, scores))[0]).sum()

    def backward(g):
        return ((g * counted) * (sigmoid.on_arrays(scores)[0] - replaced),)

    return value, backward


@definition(replaced_tokens)
def replaced_tokens_definition(scores, replaced, mask):
    costs = where(replaced, softplus(-scores), softplus(scores))
    return where(mask, costs, 0).sum() / mask.sum()
