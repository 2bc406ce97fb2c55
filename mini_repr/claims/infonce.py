"""The temperature of InfoNCE: a low one works on the hardest negatives, and buys uniformity with tolerance.

Wang, Liu 2020, arXiv 2012.09740, sections 3.2 and 4: as the temperature falls, the hardest negatives take more of the
gradient, rows spread more evenly (lower uniformity), and rows of one class keep less similar (lower tolerance); the
best temperature lies between. Digits, four temperatures. Share: of the negatives' gradient, what the tenth most similar
to the anchor take, on the rows of the trained encoder.
"""

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.claims.claim import Claim, higher, lower
from mini_repr.claims.trained import SMALL, digit_scores, rows_of, trained
from mini_repr.metrics import tolerance, uniformity
from mini_repr.training.config import merge

TEMPERATURES = (0.07, 0.2, 0.5, 1.0)


def measure(seed):
    """{temperature: {"share", "uniformity", "tolerance", "knn", "probe"}}."""
    arms = {}
    for t in TEMPERATURES:
        run = trained(seed, **merge(SMALL, {"loss": {"name": "infonce", "temperature": t}}))
        z = rows_of(run, run.data.test)
        arms[f"t={t}"] = {
            "share": hardest_share(z, t),
            "uniformity": uniformity(z),
            "tolerance": tolerance(z, run.data.test.labels),
            **digit_scores(run),
        }
    return arms


def hardest_share(z, temperature):
    """Wang, Liu's r_i(s_ij): e^(s_ij/t) over its sum, added up over the tenth most similar rows j."""
    u = unit_rows.on_arrays(z)[0]
    s = np.sort((u @ u.T)[~np.eye(len(u), dtype=bool)].reshape(len(u), -1), axis=1) / temperature
    weights = np.exp(s - s[:, -1:])
    return float((weights[:, -(s.shape[1] // 10) :].sum(axis=1) / weights.sum(axis=1)).mean())


CLAIM = Claim(
    paper="092",
    says="a low temperature works on the hardest negatives: more uniform, less tolerant rows",
    measure=measure,
    expects=(
        higher("share", "t=0.07", "t=1.0"),
        lower("uniformity", "t=0.07", "t=1.0"),
        lower("tolerance", "t=0.07", "t=1.0"),
    ),
)
