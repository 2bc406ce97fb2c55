"""UniME: a teacher's similarities first, then hard negatives without the false ones.

Gu et al. 2025, arXiv 2504.17432: a model that first takes over a strong teacher's in-batch similarities (stage 1) and
then trains on each anchor's 8 hardest negatives, probable false ones left out (stage 2), retrieves better than after
plain contrastive training; either stage helps. Here: words look for their definitions among 2,473 unseen ones
(WordNet). Teacher: a text encoder of twice the width, InfoNCE, 4 epochs. Student: 3 epochs of stage 1 or of InfoNCE,
then 2 epochs of stage 2 or of InfoNCE, at temperature 0.05, the same batches for all (with a student of width 32, hard
negatives alone ruined it, and the second stage did not help).
"""

import copy

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.gloss_pairs import fit_pairs, rows_of_pairs, scores
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.similarity_kl import similarity_kl
from mini_repr.losses.pairs.unime import unime
from mini_repr.nn import TextEncoder

T = 0.05


def contrast(a, b, _):
    return infonce(a.pooled, b.pooled, temperature=T, symmetric=False)


def hard_negatives(a, b, _):
    return unime(a.pooled, b.pooled, temperature=T)


def measure(seed):
    data = load("glosses", kind="word-definition")
    rngs = np.random.default_rng(seed).spawn(2)
    teacher = TextEncoder(rngs[0], embedding=256, width=256, hidden=512)
    fit_pairs(teacher, data.train, contrast, rngs[1], epochs=4, lr=1e-3)
    teacher_a, teacher_b = rows_of_pairs(teacher, data.train)

    def distil(a, b, index):
        return similarity_kl(a.pooled, b.pooled, teacher_a[index], teacher_b[index], temperature=T)

    arms = {"teacher": scores(*rows_of_pairs(teacher, data.test))}
    for first, begin in {"InfoNCE": contrast, "distilled": distil}.items():
        start = TextEncoder(np.random.default_rng(seed))
        fit_pairs(start, data.train, begin, np.random.default_rng(seed), epochs=3)
        for second, go_on in {"InfoNCE": contrast, "hard negatives": hard_negatives}.items():
            student = copy.deepcopy(start)
            fit_pairs(student, data.train, go_on, np.random.default_rng(seed + 1), epochs=2, lr=1e-3)
            arms[f"{first}, {second}"] = scores(*rows_of_pairs(student, data.test))
    return arms


CLAIM = Claim(
    paper="057",
    says="distillation of similarities, then filtered hard negatives, retrieves better than contrast alone",
    measure=measure,
    expects=(
        higher("MRR", "distilled, hard negatives", "InfoNCE, InfoNCE"),
        higher("MRR", "distilled, InfoNCE", "InfoNCE, InfoNCE"),
        higher("MRR", "distilled, hard negatives", "distilled, InfoNCE"),
    ),
)
