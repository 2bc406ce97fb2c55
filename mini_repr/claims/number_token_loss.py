"""Number token loss: arithmetic in text with answers that are nearer to the truth than with the cross-entropy alone.

Zausinger et al. 2024, arXiv 2411.02083: on arithmetic text the mean absolute error falls and accuracy rises when the
number token loss (weight 0.3) is added to the cross-entropy. Here: texts such as "274+958=1232" and "37*58=2146", a
token a character; an MLP reads the question and scores every place of the answer over all 13 tokens. 4,000 questions
are seen, 4,000 others asked. *MAE* is that of the number that the likeliest digits spell, *exact* the share of right
ones.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.claim import Claim, lower
from mini_repr.claims.fitting import fit
from mini_repr.losses.scores.number_token_loss import number_token_loss
from mini_repr.nn import MLP

TOKENS = "0123456789+*="
VALUES = np.array([float(token) if token.isdigit() else 0.0 for token in TOKENS], np.float32)
IS_NUMBER = np.array([token.isdigit() for token in TOKENS])
COUNT, PLACES = 4000, 4
ARMS = {"cross-entropy": {"weight": 0.0}, "NTL-WAS": {}, "NTL-MSE": {"distance": "mse"}}


def questions(operator, rng):
    """(texts, answers): 8,000 of them, numbers of three digits to add or of two to multiply."""
    first, second = rng.integers(0, 1000 if operator == "+" else 100, (2, 2 * COUNT))
    width = 3 if operator == "+" else 2
    answers = first + second if operator == "+" else first * second
    return [f"{a:0{width}}{operator}{b:0{width}}=" for a, b in zip(first, second, strict=True)], answers


def tokenise(texts):
    return np.array([[TOKENS.index(character) for character in text] for text in texts])


def answered(operator, settings, seed):
    rng = np.random.default_rng(seed)
    texts, answers = questions(operator, rng)
    x = np.eye(len(TOKENS), dtype=np.float32)[tokenise(texts)].reshape(len(texts), -1)
    labels = tokenise([f"{answer:0{PLACES}}" for answer in answers])
    net = MLP((x.shape[1], 128, 128, PLACES * len(TOKENS)), rng)

    def loss(i):
        scores = net(Tensor(x[i])).reshape(-1, len(TOKENS))
        return number_token_loss(scores, labels[i].reshape(-1), VALUES, IS_NUMBER, **settings)

    fit(net.named_parameters(), loss, COUNT, rng, steps=2000, batch=128, lr=2e-3)
    with no_grad():
        scores = net(Tensor(x[COUNT:])).data.reshape(-1, PLACES, len(TOKENS))
    spelt = VALUES[IS_NUMBER][scores[:, :, IS_NUMBER].argmax(axis=2)] @ 10.0 ** np.arange(PLACES)[::-1]
    return {"MAE": np.abs(spelt - answers[COUNT:]).mean(), "exact": (spelt == answers[COUNT:]).mean()}


def measure(seed):
    arms = {f"addition, {name}": answered("+", settings, seed) for name, settings in ARMS.items()}
    for name in ("cross-entropy", "NTL-WAS"):
        arms[f"multiplication, {name}"] = answered("*", ARMS[name], seed)
    return arms


CLAIM = Claim(
    paper="012",
    says="number token loss brings answers nearer to the truth than the cross-entropy alone",
    measure=measure,
    expects=(
        lower("MAE", "addition, NTL-WAS", "addition, cross-entropy"),
        lower("MAE", "multiplication, NTL-WAS", "multiplication, cross-entropy"),
    ),
)
