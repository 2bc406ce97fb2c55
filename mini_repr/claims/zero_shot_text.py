"""Generalist text embeddings serve search and recommendation untrained for it; specialised ones gain from compression.

Attimonelli et al. 2025, arXiv 2507.05006: general text encoders beat fine-tuned ones where they were not trained, their
variance lies in more directions, and principal components help the fine-tuned ones more. Here: items are the test
senses of WordNet with an example, by their definitions. Search: an example sentence looks for its item. Recommendation:
a visit of four senses, each a sibling of the last where it has one; the mean of the first three looks for the fourth.
Generalist: trained by InfoNCE on all definitions with their examples; specialised: on the categories of definitions
(cross-entropy); the same encoder, as many steps. Both measured by nDCG@10, whole and by 16 principal components of the
items.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import glosses, load
from mini_repr.data.embedded import likeness
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.methods import encode
from mini_repr.metrics import isotropy, ndcg
from mini_repr.nn import LinearHead, TextEncoder
from mini_repr.posthoc.pca import PCA

STEPS, COMPONENTS, VISITS = 500, 16, 400


def encoders(seed):
    data = load("glosses", kind="definition-example").train
    found = {}
    for name in ("generalist", "specialised"):
        rng = np.random.default_rng(seed)
        encoder, head = TextEncoder(rng), LinearHead(128, len(data.label_names), rng)
        a, b = encoder.tokenise(data.a), encoder.tokenise(data.b)

        def contrast(i, encoder=encoder, a=a, b=b):
            rows = [encoder(ids[i], mask[i]).pooled for ids, mask in (a, b)]
            return infonce(*rows, temperature=0.05, symmetric=False)

        def classify(i, encoder=encoder, head=head, a=a):
            return cross_entropy(head(encoder(a[0][i], a[1][i]).pooled), data.labels[i])

        loss = contrast if name == "generalist" else classify
        modules = (encoder,) if name == "generalist" else (encoder, head)
        fit(named(*modules), loss, len(data), rng, steps=STEPS, batch=64, lr=1e-3)
        found[name] = encoder
    return found


def items_and_queries():
    """Test senses with an example: (senses, definitions, examples)."""
    senses = [gloss for gloss in glosses()[::5] if gloss.examples]
    return senses, [gloss.definition for gloss in senses], [gloss.examples[0] for gloss in senses]


def visits(senses, rng):
    """(VISITS, 4) numbers of senses, each one of the ten that are most like the last and not in the visit yet."""
    found = []
    for first in rng.choice(len(senses), VISITS, replace=False):
        visit = [int(first)]
        while len(visit) < 4:
            near = np.array([likeness(senses[visit[-1]], other) for other in senses])
            near[visit] = -1
            visit.append(int(rng.choice(np.argsort(-near, kind="stable")[:10])))
        found.append(visit)
    return np.array(found)


def scores(items, queries, walks):
    """nDCG@10 of both tasks on rows of items and of queries."""
    targets = walks[:, 3]
    recommended = items[walks[:, :3]].mean(axis=1)
    wanted = targets[:, None] == np.arange(len(items))
    return {
        "search": ndcg(queries, items, np.eye(len(items), dtype=bool), k=10),
        "recommendation": ndcg(recommended, items, wanted, k=10),
    }


def measure(seed):
    senses, definitions, examples = items_and_queries()
    walks, arms = visits(senses, np.random.default_rng(seed)), {}
    for name, encoder in encoders(seed).items():
        items, queries = (encode(encoder, texts, CPU).astype(np.float64) for texts in (definitions, examples))
        arms[name] = {**scores(items, queries, walks), "isotropy": isotropy(items)}
        fitted = PCA(COMPONENTS).fit(items)
        arms[f"{name}, compressed"] = scores(fitted.transform(items), fitted.transform(queries), walks)
    return arms


def gain(arms, name):
    return arms[f"{name}, compressed"]["search"] - arms[name]["search"]


CLAIM = Claim(
    paper="097",
    says="generalist text embeddings search and recommend better; specialised ones gain more from compression",
    measure=measure,
    expects=(
        higher("search", "generalist", "specialised"),
        higher("recommendation", "generalist", "specialised"),
        higher("isotropy", "generalist", "specialised"),
        Expectation(
            "search: compression gains the specialised more than the generalist",
            lambda arms: gain(arms, "specialised") - gain(arms, "generalist"),
        ),
    ),
    seeds=5,
)
