"""Active multi-task learning: rows by the sparse relevance of source tasks serve the target better than by the L2 one.

Wang et al. 2023, arXiv 2306.02556. 30 source tasks and a target share 5 of 30 directions (linear_tasks); the target is
made of 4 tasks; noise 0.5, 200 target rows. Source rows: 60 of each task, then two rounds, in all 3,000 or 6,000: equal
for all tasks (*uniform*), in proportion to the estimated ν² of least L2 norm (*L2*), or to |ν| of the lasso (*L1*, λ
0.05, as a trial on other draws chose). *known ν*: the same with the true ν from the start, and 600 rows. The
number is the target's excess risk, the squared distance of its weights from the true ones.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.data.generated.linear_tasks import linear_tasks, task_rows
from mini_repr.posthoc.active_multitask import allocate, fit_shared, fit_target, learn_actively, relevance

TASKS, WIDTH, RANK, RELEVANT, NOISE, TARGET = 30, 30, 5, 4, 0.5, 200
BUDGETS, KNOWN = (3000, 6000), 600
NORMS = {"uniform": "uniform", "L2": "2", "L1": "1"}


def known(world, norm, target, rng):
    """The error with rows allotted by the true relevance, 5 of every task at least."""
    nu = np.ones(TASKS) if norm == "uniform" else relevance(world.weights, world.target, norm=norm).relevance
    counts = allocate(nu, KNOWN, "2" if norm == "2" else "1", floor=5)
    drawn = zip(world.weights.T, counts, strict=True)
    basis, _ = fit_shared([task_rows(world, w, count, NOISE, rng) for w, count in drawn], RANK)
    return basis @ fit_target(basis, *target)


def measure(seed):
    arms = {}
    for name, norm in NORMS.items():
        errors = {}
        for budget in (*BUDGETS, KNOWN):
            rng = np.random.default_rng(seed)
            world = linear_tasks(TASKS, WIDTH, RANK, RELEVANT, rng)
            target = task_rows(world, world.target, TARGET, NOISE, rng)

            def draw(task, count, world=world, rng=rng):
                return task_rows(world, world.weights[:, task], count, NOISE, rng)

            if budget == KNOWN:
                found = known(world, norm, target, rng)
            else:
                found = learn_actively(draw, TASKS, target, RANK, budget, norm=norm).target
            key = "known ν" if budget == KNOWN else str(budget)
            errors[key] = float(((found - world.basis @ world.target) ** 2).sum())
        arms[name] = errors
    return arms


CLAIM = Claim(
    paper="029",
    says="rows by the sparse relevance of source tasks serve the target better than by the relevance of least L2 norm",
    measure=measure,
    expects=(
        lower("known ν", "L1", "L2"),
        lower("known ν", "L2", "uniform"),
        lower("3000", "L1", "L2"),
        lower("3000", "L1", "uniform"),
        lower("6000", "L1", "uniform"),
    ),
    seeds=8,
)
