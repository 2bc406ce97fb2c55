"""Token dropping: the middle of the stack skips the words that are easy to predict, and nothing is lost.

Hou et al. 2022, arXiv 2203.13240: a quarter less work in pretraining at equal quality, if the words skipped are
those whose moving loss is small. Here: sentences of 16 words of a generated language in which content words follow each
other by topic and function words by nothing; four blocks of width 48, of which the middle ones see 8 words: three of
four token-blocks. 6 epochs of batches of 64, 30 % of the words hidden (with 15 % no model learnt more than the words'
frequencies); decay of the importance 0.98, as steps are few. Rates: for each arm the better of 0.005 and 0.01 by both
measures on a fifth of the training sentences of seed 0, in 12 epochs: 0.01 for both, where the losses were 4.64 whole
and 4.67 dropping; in 6 epochs they are further apart. Both models are measured whole: loss of hidden test words, and a
probe of the topic with ten labels a class. Does the table rank words as it should: is the importance of content words
above that of function words?
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU
from mini_repr.claims.bench import topic_texts
from mini_repr.claims.bench.claim import Claim, above, no_worse
from mini_repr.claims.bench.trained import trained
from mini_repr.claims.bench.word_start import word_start
from mini_repr.data.generated.topics import FUNCTION_WORDS, vocabulary
from mini_repr.methods import Batch, encode
from mini_repr.metrics import few_label_probe

ENCODER = {"name": "text_transformer", "width": 48, "depth": 4, "buckets": 2048, "max_tokens": 16}
ARMS = {"full": {"keep": 0}, "dropping": {"keep": 8, "importance_decay": 0.98}}


def whole_loss(method, texts):
    """The cross-entropy of hidden words under the whole model: nothing is dropped."""
    method.eval()
    words = method.encoder.tokenise(texts)
    method.keep, kept = 0, method.keep
    with no_grad():
        step = method.step(Batch(words), np.random.default_rng(0))
    method.keep = kept
    return float(step.total.data)


def measure(seed):
    data, arms = topic_texts.sentences(seed, chained=True), {}
    for arm, settings in ARMS.items():
        run = trained(
            seed,
            data=data,
            start=word_start(seed, ENCODER, positions=0.02),
            loss={"name": "cross_entropy"},
            method={"name": "language", "ratio": 0.3, **settings},
            encoder=ENCODER,
            train={"epochs": 6, "batch_size": 64},
            optimizer={"lr": 1e-2},
        )
        encoder = run.method.encoder
        train, test = (encode(encoder, part.texts, CPU) for part in (data.train, data.test))
        few = few_label_probe(train, data.train.labels, test, data.test.labels)[0]
        arms[arm] = {"loss": whole_loss(run.method, data.test.texts), "few labels": few}
        if settings["keep"]:
            ids = encoder.tokenise(list(vocabulary()[1:]))[0][:, 0]
            importance = run.method.importance[ids]
            function, content = importance[:FUNCTION_WORDS], importance[FUNCTION_WORDS:-60]
            arms[arm]["content above function"] = float(content.mean() - function.mean())
    for row in arms.values():
        row["likelihood"] = -row["loss"]
    return arms


CLAIM = Claim(
    paper="108",
    says="a quarter of the work in pretraining can be left out where words are easy, at equal quality",
    measure=measure,
    expects=(
        no_worse("likelihood", "dropping", "full", by=0.05),
        no_worse("few labels", "dropping", "full", by=0.03),
        above("content above function", "dropping", 0.0),
    ),
    seeds=5,
    designs=3,
)
