"""``scenes-flow`` stands for a text-to-image model: a denoiser of scenes that reads their captions.

``scenes-flow-fine`` has sixteen tokens in place of four, for what is done to tokens. It obeys relations more often, and
takes longer to train.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.data import digits
from mini_repr.data.generated.scenes import CAPTIONS, NULL, NUMBERS, parse, scene
from mini_repr.methods.flow import denoised_from, denoising_loss, guided, middling_times, mixed, velocity
from mini_repr.nn.caption_denoiser import CaptionDenoiser
from mini_repr.nn.denoiser import mean_map
from mini_repr.standins.agreement import agreement
from mini_repr.standins.fitting import fit

SETTINGS = {"patch": 8, "width": 96, "depth": 4, "heads": 4}
FINE = {**SETTINGS, "patch": 4}
SHAPE, SCENES, STEPS, BATCH = (1, 16, 16), 12_000, 4200, 64
UNTOLD = 0.1  # share of images whose caption is left out, for guidance


def make(seed, **settings):
    return CaptionDenoiser(SHAPE, np.random.default_rng([seed, 0]), CAPTIONS, **{**SETTINGS, **settings})


def drawn_scenes(part, rng, count):
    """(images (count, 1, 16, 16) in [0, 1], numbers of their captions' words (count, T), the captions)."""
    scenes = [scene(rng, part) for _ in range(count)]
    captions = [s.caption for s in scenes]
    return np.stack([s.image for s in scenes])[:, None], np.stack([CAPTIONS.tokenise(c) for c in captions]), captions


def train(denoiser, seed, watch=None, steps=STEPS, scenes=SCENES):
    images, ids, _ = drawn_scenes(digits().train, np.random.default_rng([seed, 1]), scenes)
    clean, null = 2 * images - 1, CAPTIONS.tokenise(NULL)

    def loss_of(rng):
        chosen = rng.integers(len(clean), size=BATCH)
        x, told = clean[chosen], ids[chosen]
        told[rng.random(BATCH) < UNTOLD] = null
        times, noise = middling_times(rng, BATCH), rng.standard_normal(x.shape, dtype=np.float32)
        return denoising_loss(denoiser, x, noise, times, denoiser.read(told))[0]

    fit(denoiser, loss_of, np.random.default_rng([seed, 2]), steps=steps, lr=2e-3, watch=watch)


def sample(denoiser, noise, captions, *, steps=20, guidance=2.0, before_step=None, slots=None):
    """Images (B, 1, 16, 16) in [0, 1] from noise of that shape, one for each caption; no gradient.

    Args:
        guidance: w in v_null + w (v - v_null). before_step: see ``denoised_from``. slots: see ``read``.
    """
    with no_grad():
        told, untold = (denoiser.read(denoiser.ids(c), slots) for c in (captions, [NULL] * len(captions)))

    def guided_velocity(x, t):
        with no_grad():
            return guided(lambda text: velocity(denoiser, x, t, text).data, told, untold, guidance)

    return denoised_from(noise, guided_velocity, steps, before_step)


def gate(denoiser, get):
    """{what: (share, the least that is needed)} by the spotter, on captions of test scenes; None: nothing is needed."""
    spotter, rng = get("spotter"), np.random.default_rng(5)
    sets = {
        "one digit": [f"a {word}" for word in NUMBERS] * 10,
        "as many as said": [f"{n}x {word}" for n in (2, 3, 4) for word in NUMBERS] * 3,
        "both of a relation": _relations(rng, 100),
    }
    found = {}
    for name, captions in sets.items():
        noise = rng.standard_normal((len(captions), *SHAPE), dtype=np.float32)
        guidance = 3.0 if "relation" in name else 2.0
        seen = agreement(spotter, sample(denoiser, noise, captions, guidance=guidance), captions)
        found[name] = (seen["present"], {"one digit": 0.6, "as many as said": 0.6, "both of a relation": 0.3}[name])
        if "relation" in name:
            found["and in that relation"] = (seen["relation"], None)
    found["maps say where"] = (localisation(denoiser, rng), 0.75)
    return found


def _relations(rng, count):
    pairs = (rng.choice(10, size=2, replace=False) for _ in range(count))
    words = ("left of", "right of", "above", "below")
    return [f"a {NUMBERS[a]} {words[k % 4]} a {NUMBERS[b]}" for k, (a, b) in enumerate(pairs)]


def localisation(denoiser, rng, t=0.3, count=200):
    """How often a noun's mean map weighs its own digit's cell more than the other's, on noised scenes of two digits."""
    part, right = digits().test, []
    scenes = [scene(rng, part, "relation") for _ in range(count)]
    x = 2 * np.stack([s.image for s in scenes])[:, None] - 1
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    with no_grad():
        text = denoiser.read(denoiser.ids([s.caption for s in scenes]))
        maps = denoiser.denoise(mixed(x, noise, np.full(count, t)), np.full(count, t), text=text).maps
    mean = mean_map(maps).data
    cells = mean.reshape(count, 2, denoiser.grid[0] // 2, 2, denoiser.grid[1] // 2, -1).sum(axis=(2, 4))
    for one, s in zip(cells.reshape(count, 4, -1), scenes, strict=True):
        own, other = (o.cell for o in s.objects)
        for noun, (mine, theirs) in zip(parse(s.caption).nouns, ((own, other), (other, own)), strict=True):
            right.append(one[mine, noun.place] > one[theirs, noun.place])
    return float(np.mean(right))
