"""Topics from sets of documents: the contrast of sets beside the ELBO, balanced by their gradients.

Nguyen et al. 2024, arXiv 2402.07577: topics of a variational autoencoder are more coherent and differ more if sets of
documents are told apart beside, in place of single documents, and if the two losses are balanced by the shortest vector
between their gradients in place of a fixed weight. Here: 2,012 documents, what WordNet says of the senses of one
hypernym; 20 topics, 3,198 words, 25 epochs of batches of 200, sets of 4. Measured: coherence, the mean NPMI of a
topic's first 10 words over the training and test documents; diversity of the first 25; "purity", how often the category
that is most frequent among the documents of a topic is a test document's own. Settings: for each arm the better of the
learning rates 0.003 and 0.006 and, of those with a fixed weight, of the weights 0.1 and 1 of the contrast, by the
coherence over four fifths of the training documents, on which it was trained for that, with seed 0. With weight 1
either contrast cost more coherence there than the balance by gradients did.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.methods import encode
from mini_repr.methods.topic_model import counts_of
from mini_repr.metrics import topic_coherence, topic_diversity

TOPICS = 20
ARMS = {
    "ELBO": {"balance": "none"},
    "documents": {"balance": "sum", "set_size": 1, "contrast_weight": 0.1},
    "sets": {"balance": "sum", "contrast_weight": 0.1},
    "sets, MGDA": {"balance": "mgda"},
}


def model(data, seed, method):
    """A trained topic model."""
    return trained(
        seed,
        data=data,
        loss={"name": "topic_elbo", "per_word": True},
        method={"name": "topic_model", "topics": TOPICS, **method},
        encoder={"name": "text", "max_tokens": 200, "width": 100, "hidden": 100, "dropout": 0.2},
        train={"epochs": 25, "batch_size": 200},
        optimizer={"lr": 6e-3},
    ).method


def coherence(method, texts):
    return topic_coherence(method.topics(), counts_of(method.word_numbers(texts), len(method.vocabulary)))


def measure(seed):
    data, arms = load("documents"), {}
    for arm, settings in ARMS.items():
        method = model(data, seed, settings)
        topic, test_topic = (
            method.mean(encode(method.encoder, part.texts, CPU)).data.argmax(axis=1) for part in (data.train, data.test)
        )
        table = np.zeros((TOPICS, len(data.train.label_names)))
        np.add.at(table, (topic, data.train.labels), 1)
        arms[arm] = {
            "coherence": coherence(method, [*data.train.texts, *data.test.texts]),
            "diversity": topic_diversity(method.topics()),
            "purity": float((table.argmax(axis=1)[test_topic] == data.test.labels).mean()),
        }
    return arms


CLAIM = Claim(
    paper="045",
    says="topics are more coherent by sets of documents, whose contrast and the ELBO are balanced by their gradients",
    measure=measure,
    expects=(
        higher("coherence", "sets, MGDA", "sets"),
        higher("coherence", "sets", "documents"),
        higher("coherence", "sets, MGDA", "ELBO"),
        higher("diversity", "sets, MGDA", "sets"),
    ),
    seeds=5,
)
