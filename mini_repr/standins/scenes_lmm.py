"""``scenes-lmm`` stands for a multimodal language model: it answers questions on scenes.

``scenes-lmm-vit`` has a vision transformer in front, whose tokens have seen one another before a question is read.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.data import digits
from mini_repr.data.generated.scenes import QUESTIONS, questions, scene
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn.vision_decoder import VisionDecoder
from mini_repr.standins.fitting import fit
from mini_repr.standins.scenes_flow import SHAPE

SETTINGS = {"patch": 4, "width": 64, "depth": 6, "heads": 4}
WITH_VISION = {**SETTINGS, "patch": 2, "vision_depth": 2}
SCENES, STEPS, BATCH = 12_000, 4000, 16
STEPS_WITH_VISION = 6000
KINDS = {"what": 0.85, "how": 0.95, "is": 0.65}  # the first word of a question, and what is needed of its answers
KINDS_WITH_VISION = {"what": 0.7, "how": 0.95, "is": None}  # with 64 tokens, whether a digit is there is learnt last


def make(seed, **settings):
    return VisionDecoder(SHAPE, np.random.default_rng([seed, 0]), QUESTIONS, **{**SETTINGS, **settings})


def asked(part, rng, count):
    """(images (count, 1, 16, 16), words of eight questions each (count, 8, T), numbers of the answers (count, 8))."""
    scenes = [scene(rng, part) for _ in range(count)]
    each = [questions(one, rng) for one in scenes]
    ids = np.stack([[QUESTIONS.tokenise(question) for question, _ in some] for some in each])
    answers = np.array([[QUESTIONS.words.index(answer) for _, answer in some] for some in each])
    return np.stack([one.image for one in scenes])[:, None], ids, answers


def train(decoder, seed, watch=None, steps=STEPS, scenes=SCENES):
    images, ids, answers = asked(digits().train, np.random.default_rng([seed, 1]), scenes)

    def loss_of(rng):
        chosen = rng.integers(len(images), size=BATCH)
        scores = decoder(images[chosen], ids[chosen])
        return cross_entropy(scores.reshape(BATCH * ids.shape[1], -1), answers[chosen].reshape(-1))

    fit(decoder, loss_of, np.random.default_rng([seed, 2]), steps=steps, lr=2e-3, watch=watch)


def answered(decoder, images, ids, keep=None):
    """(N,): numbers of the words that answer one question (N, T) on each image."""
    with no_grad():
        return decoder(images, ids[:, None], keep).data[:, 0].argmax(axis=1)


def gate(decoder, get, kinds=KINDS):
    """{what: (share, the least that is needed)} of answers on scenes of test digits; asks no other stand-in."""
    images, ids, answers = asked(digits().test, np.random.default_rng(5), 200)
    with no_grad():
        right = decoder(images, ids).data.argmax(axis=2) == answers
    first = ids[:, :, 1]
    return {
        f"{word} ...": (float(right[first == QUESTIONS.words.index(word)].mean()), least)
        for word, least in kinds.items()
    }
