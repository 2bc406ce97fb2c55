"""Count loss: a word fitted by counting what it makes the denoiser draw brings the number nearer to what is asked.

Zafar, Wolf, Schwartz 2024, arXiv 2408.11721. Eight noises for each of two, three and four digits of a class, four steps
without guidance, stand-ins ``scenes-flow`` and ``scenes-clip`` (two trainings of each, by the parity of the seed);
the counter is another spotter than the judge, which sees 0.91 of true scenes whole. *number word*: "3x seven"; for each
noise a row of its own in the number word's place, thirty iterations; *dynamic*: the counter's scale follows what it
detects; *static*: it stays as at first; *no class*: dynamic, without the towers' term; *random*: thirty rows about
the number word's, of which the counter keeps the best. Learning rate, and of the drawn rows the deviation as a multiple
of the table's: for each arm the best of three on nine other noises, by the judged error. *off*: mean absolute error of
the number of digits of the class; *others*: digits of other classes an image; *reused*: *off* with the same row and
noise and another class's word. The first design had learning rates a tenth as large, at which nothing moved.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.data.generated.scenes import CAPTIONS, NUMBERS
from mini_repr.methods.count_token import count_rows, drawn
from mini_repr.standins import get, scenes_flow
from mini_repr.standins.spotter import NOTHING

RATES, DEVIATIONS, ITERATIONS, EACH, TUNING = (0.05, 0.2, 0.5), (0.5, 1, 2), 30, 8, 3
ARMS = {"dynamic": {}, "static": {"dynamic": False}, "no class": {"class_weight": 0.0}}


def measure(seed):
    denoiser, towers = get("scenes-flow", seed % 2), get("scenes-clip", seed % 2)
    judge, counter = get("spotter"), get("spotter", 1)
    rng = np.random.default_rng(seed)

    def asked(each):
        goals = np.repeat([2, 3, 4], each)
        noise = rng.standard_normal((len(goals), *scenes_flow.SHAPE), dtype=np.float32)
        return noise, rng.integers(10, size=len(goals)), goals

    def images_of(rows, noise, digits):
        ids = denoiser.ids([f"s1 {NUMBERS[d]}" for d in digits])
        with no_grad():
            x = drawn(denoiser, noise, denoiser.read(ids, {"s1": rows[:, None]})).data
        return np.clip((x + 1) / 2, 0, 1)

    def seen(rows, noise, digits, goals, by=judge):
        kinds, _ = by.spot(images_of(rows, noise, digits))
        own = (kinds == digits[:, None]).sum(axis=1)
        return np.abs(own - goals), (kinds != NOTHING).sum(axis=1) - own

    def fitted(noise, digits, goals, lr, settings):
        words = [NUMBERS[d] for d in digits]
        return count_rows(denoiser, towers, counter, noise, words, goals, iterations=ITERATIONS, lr=lr, **settings).rows

    def number_words(goals):
        return denoiser.words.weight.data[[CAPTIONS.words.index(f"{goal}x") for goal in goals]]

    def best_drawn(noise, digits, goals, deviation):
        kept, own = number_words(goals), np.random.default_rng([seed, 1])
        least, size = seen(kept, noise, digits, goals, by=counter)[0], deviation * denoiser.words.weight.data.std()
        for _ in range(ITERATIONS - 1):
            tried = number_words(goals) + (size * own.standard_normal(kept.shape)).astype(kept.dtype)
            off, _ = seen(tried, noise, digits, goals, by=counter)
            kept[off < least], least = tried[off < least], np.minimum(off, least)
        return kept

    tuning, test = asked(TUNING), asked(EACH)
    rows = {"number word": number_words(test[2])}
    for arm, settings in ARMS.items():
        rate = min(RATES, key=lambda lr: seen(fitted(*tuning, lr, settings), *tuning)[0].mean())
        rows[arm] = fitted(*test, rate, settings)
    size = min(DEVIATIONS, key=lambda deviation: seen(best_drawn(*tuning, deviation), *tuning)[0].mean())
    rows["random"] = best_drawn(*test, size)
    noise, digits, goals = test
    another, found = (digits + 1 + rng.integers(9, size=len(digits))) % 10, {}
    for arm, row in rows.items():
        off, others = seen(row, *test)
        reused, _ = seen(row, noise, another, goals)
        found[arm] = {"off": float(off.mean()), "others": float(others.mean()), "reused": float(reused.mean())}
    return found


CLAIM = Claim(
    paper="084",
    says="a word fitted through a counting model, its scale set by detections, draws numbers nearer to those asked",
    measure=measure,
    expects=(
        lower("off", "dynamic", "number word", by=0.05),
        lower("off", "dynamic", "static"),
        lower("off", "dynamic", "random"),
        lower("reused", "dynamic", "number word"),
    ),
    seeds=6,
    designs=2,
)
