"""Generalist text embeddings serve search and recommendation untrained for it; specialised ones gain from compression.

Attimonelli et al. 2025, arXiv 2507.05006: general text encoders beat fine-tuned ones where they were not trained, their
variance lies in more directions, and principal components help the fine-tuned ones more. Here: items are the test
senses of WordNet with an example, by their definitions. Search: an example sentence looks for its item. Recommendation:
a visit of four senses, each a sibling of the last where it has one; the mean of the first three looks for the fourth.
Generalist: trained by InfoNCE on all definitions with their examples; specialised: on the categories of definitions
(cross-entropy); the same encoder, as many steps. Both measured by nDCG@10, whole and by 16 principal components of the
items.

*next*: a sequence model, a causal transformer as in SASRec, learns from 300 visits of six of 400 items what comes next
in 400 others. Items are sentences of a generated language of topics; four times of five the next one is of the same
topic. An item's row is a linear map of its text's embedding, or learned ("ids"). Generalist: trained by InfoNCE on
halves of other sentences; specialised: on their families of topics, five for twenty. Rates: of two the better one on a
fifth of the visits, for each arm. Before this, on one other seed: 100 visits; and items of WordNet, as above, with 50
to 400 visits, where learned rows are ahead of both encoders.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.claims.bench.fitting import fit, named
from mini_repr.data import glosses, load
from mini_repr.data.embedded import likeness
from mini_repr.data.generated.topics import FAMILIES, TOPICS_EACH, texts_of, topic_sentences
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.methods import encode
from mini_repr.metrics import isotropy, ndcg
from mini_repr.nn import LinearHead, TextEncoder
from mini_repr.nn.next_item import NextItem
from mini_repr.posthoc.pca import PCA

STEPS, COMPONENTS, VISITS = 500, 16, 400
ITEMS, LENGTH, LOGGED, RATES = 400, 6, 300, (1e-3, 3e-3)  # of the sequence model


def encoders(seed, data, labels, classes, temperature):
    """{"generalist", "specialised"}: encoders trained on pairs of texts, and on labels of the first of each pair."""
    found = {}
    for name in ("generalist", "specialised"):
        rng = np.random.default_rng(seed)
        encoder, head = TextEncoder(rng), LinearHead(128, classes, rng)
        a, b = encoder.tokenise(data.a), encoder.tokenise(data.b)

        def contrast(i, encoder=encoder, a=a, b=b):
            rows = [encoder(ids[i], mask[i]).pooled for ids, mask in (a, b)]
            return infonce(*rows, temperature=temperature, symmetric=False)

        def classify(i, encoder=encoder, head=head, a=a):
            return cross_entropy(head(encoder(a[0][i], a[1][i]).pooled), labels[i])

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


def logged(topics, count, rng):
    """(count, LENGTH) numbers of items, the next one mostly of the same topic."""
    visits = rng.integers(ITEMS, size=(count, LENGTH))
    stays = rng.random((count, LENGTH)) < 0.8
    for visit, stay in zip(visits, stays, strict=True):
        for t in range(1, LENGTH):
            if stay[t]:
                visit[t] = rng.choice(np.flatnonzero(topics == topics[visit[t - 1]]))
    return visits


def next_item(items, train, test, lr, seed):
    """nDCG@10 of the last item of test visits, by a sequence model that was trained on visits."""
    rng = np.random.default_rng([seed, 2])
    model = NextItem(items, LENGTH - 1, rng)

    def loss_of(index):
        return cross_entropy(model(train[index, :-1]).reshape(-1, ITEMS), train[index, 1:].ravel())

    fit(named(model), loss_of, len(train), rng, steps=400, batch=64, lr=lr, weight_decay=0.05)
    with no_grad():
        scores = model(test[:, :-1]).data[:, -1]
    rank = (scores >= scores[np.arange(len(test)), test[:, -1]][:, None]).sum(axis=1)
    return float(np.where(rank <= 10, 1 / np.log2(rank + 1), 0).mean())


def sequences(seed):
    """{arm: {"next": nDCG@10}} of the sequence model."""
    data = load("topics", kind="halves", seed=seed).train
    trained = encoders(seed, data, data.labels // TOPICS_EACH, FAMILIES, temperature=0.1)
    drawn = topic_sentences(ITEMS, np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1])
    visits, test = (logged(drawn.topics, count, rng) for count in (LOGGED, VISITS))
    rows = {"ids": ITEMS}
    for name, encoder in trained.items():
        z = encode(encoder, texts_of(drawn.ids), CPU).astype(np.float64)
        rows[name], rows[f"{name}, compressed"] = z - z.mean(axis=0), PCA(COMPONENTS).fit(z).transform(z)
    chosen, arms = np.arange(LOGGED) % 5 == 0, {}
    for name, items in rows.items():
        items = items if name == "ids" else items / items.std()
        lr = max(RATES, key=lambda lr, items=items: next_item(items, visits[~chosen], visits[chosen], lr, seed))
        arms[name] = {"next": next_item(items, visits, test, lr, seed)}
    return arms


def measure(seed):
    senses, definitions, examples = items_and_queries()
    walks, arms = visits(senses, np.random.default_rng(seed)), sequences(seed)
    data = load("glosses", kind="definition-example").train
    for name, encoder in encoders(seed, data, data.labels, len(data.label_names), temperature=0.05).items():
        items, queries = (encode(encoder, texts, CPU).astype(np.float64) for texts in (definitions, examples))
        arms[name] |= {**scores(items, queries, walks), "isotropy": isotropy(items)}
        fitted = PCA(COMPONENTS).fit(items)
        arms[f"{name}, compressed"] |= scores(fitted.transform(items), fitted.transform(queries), walks)
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
        higher("next", "generalist", "ids"),
        higher("next", "generalist", "specialised"),
        higher("next", "specialised, compressed", "specialised"),
    ),
    seeds=5,
    designs=4,
)
