"""PyramidDrop: image tokens dropped in stages answer as well as all do, better than as few from the start.

Xing et al. 2024, arXiv 2410.17247. The stand-in ``scenes-lmm`` (two trainings, by the parity of the seed): sixteen
image tokens, six blocks; eight questions, one at a time, on each of 128 test scenes. *all*: no token is dropped;
*pyramid*: 8, 4 and 2 are left after blocks 2, 3 and 4, the paper's quarters; *steep*: after blocks 1, 2 and 3; *one
drop*: 4 after block 1, no fewer on the mean of the blocks than *steep*; *random*: steep, of random tokens; *early*,
*late*: 2 after block 1, or after block 4. *tuned*: steep after three hundred more steps of training with the drop,
sixteen questions each, rate 3e-4; *tuned, all*: so without any. *accuracy* of answers; *cost*: multiply-adds, as a
share of those of all tokens. In the first design all arms dropped by the paper's quarters, after which this small model
does not look at its image any more: 0.946 of answers were right with the pyramid, 0.942 with random tokens.
"""

import numpy as np

from mini_repr.claims.bench.answers import Answers
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.tokens.keep import pyramid_counts

PYRAMID, STEEP = pyramid_counts(6, 16), {1: 8, 2: 4, 3: 2}


def measure(seed):
    answers = Answers(seed, 128)
    rng = np.random.default_rng([seed, 1])
    found = {
        "all": answers.measured({}),
        "pyramid": answers.measured(PYRAMID),
        "steep": answers.measured(STEEP),
        "one drop": answers.measured({1: 4}),
        "random": answers.measured(STEEP, rng=rng),
        "early": answers.measured({1: 2}),
        "late": answers.measured({4: 2}),
    }
    for arm, counts in (("tuned", STEEP), ("tuned, all", {})):
        found[arm] = answers.measured(counts, answers.tuned(counts))
    return found


CLAIM = Claim(
    paper="116",
    says="image tokens dropped in stages, by where the question's end looks, cost little accuracy",
    measure=measure,
    expects=(
        no_worse("accuracy", "pyramid", "all", by=0.03),
        higher("accuracy", "steep", "one drop"),
        higher("accuracy", "steep", "random", by=0.05),
        higher("accuracy", "late", "early", by=0.05),
        no_worse("accuracy", "tuned", "tuned, all", by=0.02),
    ),
    seeds=6,
    designs=2,
)
