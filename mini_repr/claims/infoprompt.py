"""InfoPrompt: a soft prompt that is told of its classes and of the encoder's rows learns faster than by the task alone.

Wu et al. 2023, arXiv 2306.04933: with both terms of information prompts learn in fewer steps and depend less on their
start. Here: sentences of a generated language with 20 topics; a two-block transformer, trained as a masked language
model, that stays; a prompt of four rows, 16 labelled sentences a topic, batches of 32. Accuracy on test sentences after
20, 60 and 200 steps: of the task's loss alone ("task"), with either term, with both. The deviation over two starts of
prompt and head is that of the accuracy after 200 steps. Rates: for each arm the better of 0.01 and 0.03 by the accuracy
after 60 steps on a fifth of the training sentences of seed 0. In the first design, not looked at, the model behind
the prompt had learnt little more than the words' frequencies.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench import topic_texts
from mini_repr.claims.bench.altered import at_most
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.trained import trained
from mini_repr.claims.bench.word_start import word_start
from mini_repr.methods import encode

WEIGHTS = {
    "task": ({"head_weight": 0.0, "representation_weight": 0.0}, 1e-2),
    "head": ({"representation_weight": 0.0}, 1e-2),
    "representation": ({"head_weight": 0.0}, 1e-2),
    "both": ({}, 3e-2),
}
STARTS, LOOKS = 2, (2, 6, 20)  # an epoch is ten steps


def accuracies(encoder, few, seed, weights, lr):
    """{epoch: accuracy on the test sentences} of one start."""
    found = {}

    def look(run, record):
        if record["epoch"] in LOOKS:
            method = run.method
            rows = method.output(method.mean(encode(method.encoder, few.test.texts, CPU)))
            scores = method.classes(rows).data
            found[record["epoch"]] = float((scores.argmax(axis=1) == few.test.labels).mean())

    trained(
        seed,
        each_epoch=look,
        data=few,
        start=encoder,
        loss={"name": "cross_entropy"},
        method={"name": "infoprompt", **weights},
        encoder={**topic_texts.ENCODER, "prompt": 4},
        train={"epochs": max(LOOKS), "batch_size": 32},
        optimizer={"lr": lr, "warmup_steps": 0},
    )
    return found


def pretrained(seed):
    """The weights of a masked language model after 8 epochs: topics tell its rows apart."""
    run = trained(
        seed,
        data=topic_texts.sentences(seed),
        start=word_start(seed, topic_texts.ENCODER, positions=0.02),
        loss={"name": "cross_entropy"},
        method={"name": "language", "ratio": 0.3},
        encoder=topic_texts.ENCODER,
        train={"epochs": 8, "batch_size": 64},
        optimizer={"lr": 1e-2},
    )
    return {f"encoder.{name}": array for name, array in run.method.encoder.state_dict().items()}


def measure(seed):
    start = pretrained(seed)
    few = at_most(topic_texts.sentences(seed), [16] * 20, np.random.default_rng(seed))
    arms = {}
    for arm, (weights, lr) in WEIGHTS.items():
        runs = [accuracies(start, few, 1000 * seed + k, weights, lr) for k in range(STARTS)]
        arms[arm] = {f"after {10 * epoch}": float(np.mean([run[epoch] for run in runs])) for epoch in LOOKS}
        arms[arm]["deviation"] = float(np.std([run[max(LOOKS)] for run in runs]))
    return arms


CLAIM = Claim(
    paper="066",
    says="a soft prompt that is told of classes and of rows learns faster, and depends less on its start",
    measure=measure,
    expects=(
        higher("after 20", "both", "task"),
        higher("after 60", "both", "task"),
        lower("deviation", "both", "task"),
    ),
    seeds=5,
    designs=2,
)
