"""GradCache: chunks that share one contrastive batch train as the whole batch does; chunks by themselves do not.

Gao et al. 2021, arXiv 2101.06983: where only a small batch fits into memory, caching the gradients of the rows gives
the large batch's update for about a fifth more time; adding up the gradients of small batches does not, as each row
then meets only the negatives of its own part. Here: two copies of a definition (WordNet), each of which lost half of
its words, look for each other among 600 after 10 epochs; hashed words and an MLP. 16 pairs fit: batches of 16; batches
of 128 whose loss is the mean over 8 parts of 16 (*accumulated*); of 128 in cached chunks of 16. Each has the learning
rate of four that retrieves best on a fifth of the training pairs, over two seeds beyond those counted. *MiB* and
*seconds* (of the processor, the least of three rounds): one step of a ViT (width 64, 16 patches) on 128 and on 512
digits, whole and in chunks of 64. That the update is the whole batch's is a test, not an expectation.
"""

import math
from functools import partial

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.claims.bench.copies import pairs_of_copies
from mini_repr.claims.bench.cost import cpu_seconds, peak_mib
from mini_repr.claims.bench.trained import pair_rows, trained
from mini_repr.metrics import mean_reciprocal_rank
from mini_repr.training.config import merge
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

COMMON = {"loss": {"name": "infonce", "temperature": 0.1}, "train": {"epochs": 10}}
ARMS = {
    "16": {"batch_size": 16},
    "accumulated 8 x 16": {"batch_size": 128, "loss_groups": 8},
    "cached 8 x 16": {"batch_size": 128, "grad_cache": 16},
}
RATES = {"16": 3e-4, "accumulated 8 x 16": 1e-3, "cached 8 x 16": 1e-3}  # of 1e-4, 3e-4, 1e-3 and 3e-3
SIZES, CHUNK = (128, 512), 64
GROWTH, SLOWER = 1.5, 1.5


def retrieval(arm, seed, lr, choosing=False):
    """Mean reciprocal rank of the other copy among those of the test definitions."""
    data = pairs_of_copies(3000, 600, np.random.default_rng(seed), lost=0.5)
    settings = merge(COMMON, {"train": ARMS[arm], "optimizer": {"lr": lr}})
    run = trained(seed, data=held_out(data) if choosing else data, **settings)
    return mean_reciprocal_rank(*pair_rows(run, run.data.test))


def costs(seed, size):
    """{"whole", "chunks": {"MiB", "seconds"}} of a step on as many digits."""
    works = {}
    for name, chunk in (("whole", 0), ("chunks", CHUNK)):
        train = {"batch_size": size, "grad_cache": chunk, "seed": seed}
        encoder = {"name": "vit", "width": 64, "depth": 3, "patch": 2}
        run = Run(*prepare({"loss": {"name": "infonce"}, "encoder": encoder, "train": train}), CPU)
        works[name] = partial(run.train_step, np.arange(size))
    seconds = dict(zip(works, cpu_seconds(*works.values()), strict=True))
    return {name: {"MiB": peak_mib(work), "seconds": seconds[name]} for name, work in works.items()}


def measure(seed):
    arms = {arm: {"MRR": retrieval(arm, seed, lr)} for arm, lr in RATES.items()}
    for size in SIZES:
        arms |= {f"step, {size}, {name}": cost for name, cost in costs(seed, size).items()}
    return arms


def ratio(arms, measure, arm, to):
    return math.log(arms[f"step, {arm}"][measure] / arms[f"step, {to}"][measure])


CLAIM = Claim(
    paper="082",
    says="a large batch in cached chunks retrieves better than small ones added up, in little memory and more time",
    measure=measure,
    expects=(
        higher("MRR", "cached 8 x 16", "accumulated 8 x 16"),
        higher("MRR", "cached 8 x 16", "16"),
        Expectation(
            f"MiB: chunks grow less than {GROWTH:g} times from 128 to 512 rows",
            lambda arms: math.log(GROWTH) - ratio(arms, "MiB", "512, chunks", "128, chunks"),
        ),
        Expectation(
            f"seconds: chunks take less than {SLOWER:g} times those of the whole at 512 rows",
            lambda arms: math.log(SLOWER) - ratio(arms, "seconds", "512, chunks", "512, whole"),
        ),
    ),
)
