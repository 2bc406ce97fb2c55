"""SigLIP: the sigmoid loss against the softmax loss, at small and at larger batches.

Zhai et al. 2023, arXiv 2303.15343: below some 16 thousand pairs a batch the sigmoid loss beats the softmax loss, and by
more the smaller the batch. Here: words look for their definitions among 2,473 unseen ones (WordNet), two towers of
shared weights, batches of 16 and of 256 pairs, both far below the paper's smallest (512); 2 epochs, the same start and
batches. Both losses learn their scale: the softmax from CLIP's 1/0.07, the sigmoid from 10, with a bias from -10. (With
4,000 definitions and examples, and batches of 16, both had the same MRR over three seeds, 0.016.)
"""

from mini_repr.claims.claim import Claim, Expectation, higher
from mini_repr.claims.gloss_pairs import pair_scores
from mini_repr.claims.trained import trained
from mini_repr.data import load

LOSSES = {
    "softmax": {"name": "infonce", "temperature": 0.07, "learn": ["temperature"]},
    "sigmoid": {"name": "siglip"},
}


def measure(seed):
    data, arms = load("glosses", kind="word-definition"), {}
    for size in (16, 256):
        for name, loss in LOSSES.items():
            run = trained(seed, data=data, loss=loss, train={"epochs": 2, "batch_size": size})
            scores = pair_scores(run, data.test)
            arms[f"{name}, batch {size}"] = {"MRR": scores["MRR"], "recall@10": scores["recall@10"]}
    return arms


def advantage(arms, size):
    return arms[f"sigmoid, batch {size}"]["MRR"] / arms[f"softmax, batch {size}"]["MRR"]


CLAIM = Claim(
    paper="009",
    says="the sigmoid loss retrieves better than the softmax loss, and by more at a smaller batch",
    measure=measure,
    expects=(
        higher("MRR", "sigmoid, batch 16", "softmax, batch 16"),
        higher("MRR", "sigmoid, batch 256", "softmax, batch 256"),
        Expectation(
            "MRR: the sigmoid's over the softmax's is larger at batch 16",
            lambda arms: advantage(arms, 16) - advantage(arms, 256),
        ),
    ),
)
