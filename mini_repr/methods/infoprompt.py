"""Classify texts by a trained encoder that stays as it is: only rows in front of every text are learnt."""

import numpy as np

from mini_repr.autograd import broadcast_to, exp, matmul
from mini_repr.backend import backend_of
from mini_repr.losses.scores.prompt_information import prompt_information
from mini_repr.methods.language import require_words
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Linear, LinearHead
from mini_repr.pages.arguments import Count, NonNegative
from mini_repr.pages.declare import part


@part("method", "infoprompt", paper="066")
class InfoPrompt(Method):
    """Texts one by one with labels: a soft prompt that is told of its classes and of what the encoder makes of it.

    Wu et al. 2023, arXiv 2306.04933: start from a trained encoder (``--init-from RUN``) with ``--set encoder.prompt=4``
    rows in front of every text. They, two linear maps and the class vectors w_c are all that is learnt. A text's pooled
    row h becomes a Gaussian of ``latent`` numbers, mean(h) and exp(log std(h)), a draw of it a row z of the encoder's
    width D, and the scores of the classes are z·w_c. With p the prompt's rows, e_k the word rows of the text, and
    I(f; f_k) the loss ``prompt_information``,

        L = loss of scores + head_weight I(mean(p)·c; e_k·c)                  c = mean of the w_c, over √D
                           + representation_weight I(z·d; z'_k·d)            d = W mean(p), over √D
                           + 0.1 (KL to N(0, 1) of the Gaussians with and without the prompt)

    where the z'_k are ``draws`` of the Gaussian of the same text without the prompt. No gradient reaches p through d.
    Both weights 0: prompt tuning.

    Compared with JoshuaWu1997/infoprompt, model/RoBertaPrompt.py (read): there the prompt is made for each text from
    its first pass, the row is that of a mask token, 4 B draws for a batch of B, and ``ceiling=2`` in both terms.
    """

    compares = ("scores",)
    takes = "sentences"
    needs_labels = True

    def __init__(
        self,
        parts,
        *,
        head_weight: NonNegative = 0.1,
        representation_weight: NonNegative = 0.2,
        latent: Count() = 32,
        draws: Count() = 16,
    ):
        super().__init__(parts)
        encoder, rng, classes = self.encoder, parts.rng, len(parts.data.train.label_names)
        require_words("infoprompt", encoder)
        if encoder.prompt is None:
            raise ValueError("method infoprompt: the encoder has no prompt to learn, expected --set encoder.prompt=4")
        self.head_weight, self.representation_weight, self.draws = head_weight, representation_weight, draws
        for parameter in encoder.parameters():
            parameter.requires_grad = parameter is encoder.prompt
        self.mean, self.log_std = Linear(encoder.width, latent, rng), LinearHead(encoder.width, latent, rng)
        self.output = Linear(latent, encoder.width, rng)
        self.context = Linear(encoder.width, encoder.width, rng)
        self.classes = Linear(encoder.width, classes, rng, bias=False)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["scores", "labels"]

    def sample(self, ids, mask, rng):
        latent = self.output.weight.shape[0]
        noise = rng.standard_normal((len(ids), 1 + self.draws, latent), dtype=np.float32)
        return ids, mask, backend_of(self.output.weight.data).asarray(noise)

    def embed(self, ids, mask, noise):
        pooled = self.encoder(ids, mask).pooled
        plain = self.encoder(ids, mask, prompted=False).pooled
        mean, log_std = self.mean(pooled), self.log_std(pooled)
        z = self.output(mean + noise[:, 0] * exp(log_std))
        scores = self.classes(z)
        plain_mean, plain_std = self.mean(plain), self.log_std(plain)
        others = plain_mean.reshape(len(ids), 1, -1) + noise[:, 1:] * exp(plain_std).reshape(len(ids), 1, -1)
        prompt, scale = self.encoder.prompt, self.encoder.width**-0.5
        towards_classes = self.classes.weight.mean(axis=1, keepdims=True) * scale  # (D, 1)
        on_classes = self.encoder.words(ids) @ towards_classes
        own = matmul(prompt.mean(axis=0, keepdims=True), towards_classes)
        context = self.context(prompt.data.mean(axis=0, keepdims=True)).T * scale  # no gradient for the prompt
        return (
            scores,
            broadcast_to(own, (len(ids), 1)),
            on_classes.reshape(*ids.shape),
            z @ context,
            (self.output(others) @ context).reshape(len(ids), self.draws),
            _divergence(mean, log_std) + _divergence(plain_mean, plain_std),
            pooled,
        )

    def targets(self, ids, mask, noise):
        return (mask,)

    def compare(self, rows, targets, batch, objective):
        scores, prompt, words, own, others, divergence, pooled = rows
        total = objective(scores, batch.labels, embeddings=(pooled,), labels=batch.labels)
        of_head = prompt_information(prompt.reshape(-1), words, backend_of(words.data).asarray(targets[0]))
        of_rows = prompt_information(own.reshape(-1), others)
        terms = {**total.terms, "head": of_head.data, "representation": of_rows.data}
        total = total + self.head_weight * of_head + self.representation_weight * of_rows + 0.1 * divergence.mean()
        total.terms = terms
        return Step(total, pooled.data)


def _divergence(mean, log_std):
    """(B,): of each row's Gaussian from N(0, 1), the mean over its numbers."""
    return (0.5 * (exp(2 * log_std) + mean**2 - 1) - log_std).mean(axis=1)
