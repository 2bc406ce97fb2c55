"""Next-word prediction on the glosses: many classes, and texts of unequal difficulty."""

import re
from collections import Counter

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.data import load
from mini_repr.nn import MLP
from mini_repr.nn.module import Module

_WORD = re.compile(r"\w+")


def next_words(vocabulary=1000, context=3):
    """Definitions as sequences of word numbers.

    The most frequent words of the training definitions are kept; a prediction is counted only for those, so that no
    class "unknown" makes the task easy.

    Returns:
        ((contexts (N, context), targets (N,), texts (N,)), the same of the test definitions): word numbers, number
        ``vocabulary`` standing for what comes before a text and ``vocabulary + 1`` for a rare word; texts says which
        definition a prediction belongs to.
    """
    data = load("glosses", kind="word-definition")
    words = [[_WORD.findall(text.lower()) for text in part.b] for part in (data.train, data.test)]
    frequent = Counter(word for text in words[0] for word in text).most_common(vocabulary)
    number = {word: k for k, (word, _) in enumerate(frequent)}
    return [_predictions(part, number, vocabulary, context) for part in words]


def _predictions(texts, number, vocabulary, context):
    contexts, targets, owners = [], [], []
    for owner, text in enumerate(texts):
        row = [vocabulary] * context + [number.get(word, vocabulary + 1) for word in text]
        for place in range(context, len(row)):
            if row[place] < vocabulary:
                contexts.append(row[place - context : place])
                targets.append(row[place])
                owners.append(owner)
    return np.array(contexts), np.array(targets), np.array(owners)


class NextWord(Module):
    """Embeddings of the context, side by side, through an MLP: (B, context) to hidden rows (B, hidden)."""

    def __init__(self, rng, vocabulary=1000, context=3, width=32, hidden=64):
        self.table = Tensor((0.1 * rng.standard_normal((vocabulary + 2, width))).astype(np.float32), True)
        self.net = MLP((context * width, 128, hidden), rng)

    def forward(self, contexts):
        rows = self.table[contexts.reshape(-1)]
        return self.net(rows.reshape(len(contexts), -1))
