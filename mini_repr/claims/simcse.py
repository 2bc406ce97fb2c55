"""SimCSE: two dropout masks of a sentence are its two views; pairs of sentences and hard negatives are better still.

Gao et al. 2021, arXiv 2104.08821: trained from BERT on two dropout masks a sentence, rows agree better with graded
similarity than BERT's own; without dropout, or with the same mask twice, they do not (table 4). Supervised pairs agree
better again, and hard negatives help. Here, *topics*: sentences of a generated language whose similarity is 2 within a
topic, 1 within a family, else 0; a two-block transformer that was trained as a masked language model, then 150 steps of
64 sentences, InfoNCE in one direction at the better of two temperatures, chosen by other graded pairs of sentences.
*Glosses*: definitions and examples of WordNet, a hashed-word MLP from scratch, graded by WordNet's hypernyms;
unsupervised, on pairs of a definition and its example, and on the same with an example of a sibling sense as hard
negative: is the example nearer than the sibling's ("told apart")? The start, fourteen epochs, has learnt some of the
similarity, its rows point one way. In two designs before, looked at on two seeds, the start was trained until it agreed
well, with one block and with two: it agreed better than after any of the arms, for to spread all sentences apart then
costs more than it brings. In the third, over five seeds, six epochs had taught it little, dropout was 0.05 above it,
two masks could not be told from the same one twice: as here.
"""

import copy

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench import topic_texts
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.methods import encode
from mini_repr.metrics import rank_agreement

TEMPERATURES = (0.05, 0.2)
RATES = {"no dropout": 0.0, "same mask": 0.1, "dropout 0.1": 0.1, "dropout 0.3": 0.3}
LOSS = {"name": "infonce", "symmetric": False, "temperature": 0.05}


def fine_tuned(start, texts, arm, temperature, seed):
    encoder, rng = copy.deepcopy(start), np.random.default_rng(seed)
    for block in encoder.blocks:
        block.dropout.rate = RATES[arm]
    encoder.train()
    ids, mask = encoder.tokenise(texts)

    def loss_of(index):
        before = encoder.random_state()
        first = encoder(ids[index], mask[index]).pooled
        if arm == "same mask":
            encoder.set_random_state(before)
        second = encoder(ids[index], mask[index]).pooled
        return infonce(first, second, temperature=temperature, symmetric=False)

    fit(encoder.named_parameters(), loss_of, len(texts), rng, steps=150, lr=3e-4)
    return encoder


def on_topics(seed):
    start, texts = topic_texts.pretrained(seed, dropout=0.1), topic_texts.sentences(seed).train.texts
    choice = topic_texts.graded(seed, "choice")
    arms = {"start": topic_texts.scores(start, seed)}
    for arm in RATES:
        tried = {t: fine_tuned(start, texts, arm, t, seed) for t in TEMPERATURES}
        best = max(tried, key=lambda t, tried=tried: topic_texts.agreement(tried[t], choice))
        arms[arm] = {**topic_texts.scores(tried[best], seed), "temperature": best}
    return arms


def on_glosses(seed):
    siblings, graded = load("glosses", kind="sibling-negatives"), load("glosses", kind="graded").test
    plain = type(siblings)(
        siblings.name, *(type(part)(part.name, part.a, part.b) for part in (siblings.train, siblings.test))
    )
    runs = {
        "unsupervised": (load("sentences"), "simcse", 1, 0.1),
        "supervised": (plain, "two_tower", 8, 0.1),
        "hard negatives": (siblings, "two_tower", 8, 0.1),
    }
    arms = {}
    for arm, (data, method, epochs, dropout) in runs.items():
        encoder = trained(
            seed,
            data=data,
            loss=LOSS,
            method={"name": method},
            encoder={"name": "text", "dropout": dropout},
            train={"epochs": epochs},
        ).method.encoder
        a, b, far = (encode(encoder, texts, CPU) for texts in (plain.test.a, plain.test.b, siblings.test.negatives))
        near, away = (_cosines(a, other) for other in (b, far))
        agreement = rank_agreement(encode(encoder, graded.a, CPU), encode(encoder, graded.b, CPU), graded.similarity)
        arms[f"glosses, {arm}"] = {"Spearman": agreement, "told apart": float((near > away).mean())}
    return arms


def _cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def measure(seed):
    return on_topics(seed) | on_glosses(seed)


CLAIM = Claim(
    paper="088",
    says="two dropout masks of a sentence are good views of it, and pairs with hard negatives are better",
    measure=measure,
    expects=(
        higher("Spearman", "dropout 0.1", "start"),
        higher("Spearman", "dropout 0.1", "no dropout"),
        higher("Spearman", "dropout 0.1", "same mask"),
        lower("uniformity", "dropout 0.1", "start"),
        higher("Spearman", "glosses, supervised", "glosses, unsupervised"),
        higher("told apart", "glosses, hard negatives", "glosses, supervised"),
    ),
    seeds=5,
    designs=4,
)
