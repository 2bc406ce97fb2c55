"""OptiPrune: noise moved until no subject is neglected draws both, and tokens that are alike can look together.

OptiPrune, 2025, arXiv 2507.00789. The stand-in ``scenes-flow-fine`` (two trainings of it, by the parity of the seed),
which has sixteen tokens. *Noise*: forty-eight captions such as "a seven and a two", guidance 1.5, 20 steps, the same
noise in all arms. *plain*: as drawn; *optimised*: ``optimised_noise`` with the settings of InitNO's code; *pruned*: so,
while in every block half of the tokens look at each other and the others take the output of one of these
(``representatives``); *random*: each image's noise moved as far as in *optimised* in a random direction. *present*:
both digits are there, by the spotter, which sees 0.91 of true scenes whole; *neglect*: the score that noise was moved
by, with all tokens; *cost*: multiply-adds of a pass that scores noise, as a share of those with all tokens.

*Tokens*: the same denoiser says v of noised test scenes at three times, while half of the tokens look at each other in
every block. *similar*: ``representatives``; *any*: random ones stay, *even*: every other one, and those that go take
the output of the most similar that stay. *change*: the squared change of v over the square of v. Two designs before had
a denoiser of sixteen tokens that was trained for 200 steps only, of which *similar* changed v more than *any* and
*even* did, and then ``scenes-flow`` with four tokens, of which it changed v less, and where optimised noise gained more
in *present*.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher, lower, no_worse
from mini_repr.data import digits
from mini_repr.data.generated.scenes import NUMBERS
from mini_repr.methods.flow import mixed, velocity
from mini_repr.methods.initial_noise import noise_scores, optimised_noise
from mini_repr.standins import agreement, get, scenes_flow
from mini_repr.tokens.representatives import representatives

COUNT, GUIDANCE = 48, 1.5
TESTED, TIMES = 512, (0.3, 0.6, 0.9)


def measure(seed):
    return of_noise(seed) | of_tokens(seed)


def of_noise(seed):
    denoiser, judge = get("scenes-flow-fine", seed % 2), get("spotter")
    rng = np.random.default_rng([seed, 0])
    pairs = [rng.choice(10, size=2, replace=False) for _ in range(COUNT)]
    captions = [f"a {NUMBERS[a]} and a {NUMBERS[b]}" for a, b in pairs]
    plain, away = rng.standard_normal((2, COUNT, *scenes_flow.SHAPE), dtype=np.float32)
    optimised = optimised_noise(denoiser, plain, captions)
    prune = representatives(denoiser.grid, rng=np.random.default_rng([seed, 2]))
    arms = {"plain": plain, "optimised": optimised}
    arms["pruned"] = optimised_noise(denoiser, plain, captions, prune=prune)
    arms["random"] = plain + away * (length(optimised - plain) / length(away))
    found = {}
    for name, noise in arms.items():
        images = scenes_flow.sample(denoiser, noise, captions, guidance=GUIDANCE)
        neglect = float(noise_scores(denoiser, noise, captions).neglect.mean())
        found[name] = {"present": agreement(judge, images, captions)["present"], "neglect": neglect}
    for name, share in (("optimised", 1.0), ("pruned", 0.5)):
        found[name]["cost"] = scoring_cost(denoiser, share) / scoring_cost(denoiser, 1.0)
    return found


def scoring_cost(denoiser, share, ratio=2.0):
    """Multiply-adds of the blocks for one image and caption, where a share of the tokens look at each other.

    To say which, all their cosines are taken.
    """
    count, width, words = denoiser.patch_count, denoiser.width, denoiser.vocabulary.length
    left = share * count
    own = 4 * left * width**2 + 2 * left**2 * width + (count**2 * width if share < 1 else 0)
    cross = 2 * (count + words) * width**2 + 2 * count * words * width
    return denoiser.depth * (own + cross + 2 * ratio * count * width**2)


def length(images):
    return np.sqrt((images * images).sum(axis=(1, 2, 3), keepdims=True))


def of_tokens(seed):
    denoiser = get("scenes-flow-fine", seed % 2)
    rng = np.random.default_rng([seed, 1])
    images, ids, _ = scenes_flow.drawn_scenes(digits().test, rng, TESTED)
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    grid, half = denoiser.grid, denoiser.patch_count // 2

    def any_of(tokens):
        order = rng.random(tokens.shape[:2]).argsort(axis=1)
        return taken_from(tokens, np.sort(order[:, :half], axis=1))

    def every_other(tokens):
        chosen = np.flatnonzero(np.indices(grid).sum(axis=0).ravel() % 2 == 0)
        return taken_from(tokens, np.tile(chosen, (len(tokens), 1)))

    arms = {"similar": representatives(grid, rng=rng), "any": any_of, "even": every_other}
    found = {name: [] for name in arms}
    with no_grad():
        text = denoiser.read(ids)
        for t in TIMES:
            x = mixed(2 * images - 1, noise, np.full(TESTED, t))
            whole = velocity(denoiser, x, t, text).data
            for name, prune in arms.items():
                change = velocity(denoiser, x, t, text, prune).data - whole
                found[name].append(float((change * change).mean() / (whole * whole).mean()))
    return {name: {"change": float(np.mean(values))} for name, values in found.items()}


def taken_from(tokens, keep):
    """(keep, source): each of tokens (B, N, D) takes the most similar of those that stay, and these their own."""
    unit = tokens / np.linalg.norm(tokens, axis=2, keepdims=True)
    every = np.arange(len(tokens))[:, None]
    source = (unit @ unit[every, keep].swapaxes(1, 2)).argmax(axis=2)
    source[every, keep] = np.arange(keep.shape[1])
    return keep, source


CLAIM = Claim(
    paper="074",
    says="noise moved by attention scores draws both of two digits more often, and similar tokens can be left out",
    measure=measure,
    expects=(
        higher("present", "optimised", "plain", by=0.08),
        higher("present", "optimised", "random", by=0.08),
        no_worse("present", "pruned", "optimised", by=0.05),
        lower("change", "similar", "any"),
        lower("change", "similar", "even"),
    ),
    seeds=6,
    designs=3,
)
