"""VFlowOpt: image tokens pruned in stages and merged, by a strategy under which the question's end says the same.

Yang et al. 2025, arXiv 2508.05211. The stand-in ``scenes-lmm-vit`` (two trainings, by the parity of the seed): 64 image
tokens, two vision blocks, six of the decoder; eight questions on each of 128 test scenes, which see the image and not
one another; a mean of a quarter of the tokens over the decoder's blocks. *all*: no token is pruned; *tuned*: the best
of 40 strategies on 512 questions on training scenes, by the cosine of the last row alone; *no entropy*, *no merging*:
likewise among strategies without these; *relevance*: one stage, the tokens that receive most attention, the others
dropped; *merged*: the others merged, in cells of 4 x 4; *random*: one stage of random tokens. *accuracy* of answers;
*cost*: multiply-adds, as a share of those of all tokens. *premise*: rank correlation of cosine and accuracy over the
strategies that *tuned* tried. The first design, seen on one seed of a shorter training, asked that relevance be better
than random tokens in place of *tuned*; it was worse.
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.answers import Answers
from mini_repr.claims.bench.claim import Claim, above, higher
from mini_repr.data import digits
from mini_repr.nn.gaps import at_places
from mini_repr.tokens.flow_search import Strategy, flow_pruned, flow_search

NAME, BUDGET = "scenes-lmm-vit", 0.25
SEARCHES = {"tuned": {}, "no entropy": {"entropy": False}, "no merging": {"merging": False}}
ONCE = (BUDGET, 1.0, 1.0)


def measure(seed):
    test, calibration = Answers(seed, 128, name=NAME), Answers(1000 + seed, 64, digits().train, NAME)
    images, ids, _ = calibration.packed
    found = {"all": {"accuracy": test.accuracy(), "cost": 1.0}}
    for arm, options in SEARCHES.items():
        search = flow_search(test.decoder, images, ids, BUDGET, np.random.default_rng(seed), **options)
        found[arm] = measured(test, search.strategy)
        if arm == "tuned":
            right = [measured(test, strategy)["accuracy"] for strategy, _ in search.tried]
            premise = float(spearmanr([value for _, value in search.tried], right).statistic)
    found["tuned"]["premise"] = premise
    found["relevance"] = measured(test, Strategy(ONCE))
    found["merged"] = measured(test, Strategy(ONCE, cell=4))
    found["random"] = at_random(test, np.random.default_rng([seed, 1]))
    return found


def measured(test, strategy):
    """{"accuracy", "cost"} of answers with a strategy."""
    images, ids, answers = test.packed
    with no_grad():
        pruned = flow_pruned(test.decoder, images, ids, strategy)
        said = test.decoder.answer(pruned.rows).data.argmax(axis=2)
    cost = np.mean([test.cost(by_block) for by_block in pruned.by_block])
    return {"accuracy": float((said == answers).mean()), "cost": float(cost)}


def at_random(test, rng):
    """The same of as many random tokens."""
    (images, ids, answers), decoder = test.packed, test.decoder
    count = round(BUDGET * decoder.image_count)
    places = np.sort(rng.random((len(images), decoder.image_count)).argsort(axis=1)[:, :count], axis=1)
    with no_grad():
        said = decoder.answer(decoder.read(at_places(decoder.see(images)[0], places), ids)).data.argmax(axis=2)
    return {"accuracy": float((said == answers).mean()), "cost": test.cost([count] * decoder.depth)}


CLAIM = Claim(
    paper="098",
    says="image tokens pruned and merged by a strategy that keeps the last row answer better than by attention alone",
    measure=measure,
    expects=(
        higher("accuracy", "tuned", "relevance", by=0.02),
        higher("accuracy", "tuned", "no merging"),
        higher("accuracy", "tuned", "no entropy"),
        higher("accuracy", "tuned", "random"),
        above("premise", "tuned", 0.5),
    ),
    seeds=6,
    designs=2,
)
