"""UNSEE: losses without negatives make sentence embeddings if the other pass comes from a target network.

Çağatan 2024, arXiv 2401.15316: Barlow Twins, VICReg and CorInfoMax on two dropout masks of a sentence spoil what BERT
knew of similarity; with a slowly moving target network and a predictor they do not, and are better than SimCSE. Here:
sentences of a generated language whose similarity is 2 within a topic, 1 within a family, else 0; a two-block
transformer that was trained as a masked language model ("start"), then an epoch of each loss at the better of two
learning rates, chosen by other graded pairs of sentences; target momentum 0.99, dropout 0.1. "None": the loss between
the two passes of the encoder itself. SimCSE: InfoNCE in one direction at temperature 0.05, likewise. The
start, fourteen epochs, has learnt some of the similarity; after six, in the design before, it had learnt little that
could be spoiled, and the verdicts were the same. In the first design, one block and a start that agreed well, looked at
on one seed, a target kept what Barlow Twins and VICReg lost without one, and CorInfoMax lost nothing.
"""

from mini_repr.claims.bench import topic_texts
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import trained

LOSSES = {"Barlow": "barlow_twins", "VICReg": "vicreg", "CorInfoMax": "corinfomax"}
METHODS = {"none": {"name": "simcse", "head": False}, "target": {"name": "unsee", "hidden": 192}}
RATES = (3e-4, 1e-3)
SIMCSE = {"name": "infonce", "symmetric": False, "temperature": 0.05}


def fine_tuned(start, seed, loss, method, lr):
    run = trained(
        seed,
        start=start,
        data=topic_texts.sentences(seed),
        loss=loss,
        method=method,
        encoder={**topic_texts.ENCODER, "dropout": 0.1},
        train={"epochs": 1, "batch_size": 64},
        optimizer={"lr": lr},
    )
    return run.method.encoder


def measure(seed):
    encoder = topic_texts.pretrained(seed, dropout=0.1)
    start = {f"encoder.{name}": array for name, array in encoder.state_dict().items()}
    choice = topic_texts.graded(seed, "choice")
    ways = {f"{name}, {kind}": ({"name": loss}, METHODS[kind]) for name, loss in LOSSES.items() for kind in METHODS}
    arms = {"start": topic_texts.scores(encoder, seed)}
    for arm, (loss, method) in {"SimCSE": (SIMCSE, METHODS["none"]), **ways}.items():
        tried = {lr: fine_tuned(start, seed, loss, method, lr) for lr in RATES}
        best = max(tried, key=lambda lr, tried=tried: topic_texts.agreement(tried[lr], choice))
        arms[arm] = {**topic_texts.scores(tried[best], seed), "learning rate": best}
    return arms


CLAIM = Claim(
    paper="083",
    says="with a target network losses without negatives keep similarity that they spoil without one",
    measure=measure,
    expects=(
        higher("Spearman", "Barlow, target", "Barlow, none"),
        higher("Spearman", "VICReg, target", "VICReg, none"),
        higher("Spearman", "CorInfoMax, target", "CorInfoMax, none"),
        higher("Spearman", "VICReg, target", "SimCSE"),
    ),
    seeds=5,
    designs=4,
)
