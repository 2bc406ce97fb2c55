"""A topic model of documents, whose topics also tell sets of documents apart."""

import numpy as np

from mini_repr.autograd import concatenate, exp, gelu, softmax
from mini_repr.autograd import max as largest
from mini_repr.backend import backend_of
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.methods.method import Method, Step
from mini_repr.nn import BatchNorm, Linear, Sequential, trimmed
from mini_repr.nn.text import words_of
from mini_repr.optim.multi_objective import for_two_losses
from mini_repr.pages.arguments import Choice, Count, FractionBelowOne, NonNegative, Positive
from mini_repr.pages.declare import part


@part("method", "topic_model", paper="045")
class TopicModel(Method):
    """Texts one by one: a variational autoencoder of word counts, and a contrast of sets of documents beside it.

    Nguyen et al. 2024, arXiv 2402.07577. The encoder's row of a document becomes mean and log variance of K numbers (a
    linear layer and batch norm each), a draw of which, through a softmax, is its mixture of topics; a linear decoder
    and batch norm give the scores of the words for ``topic_elbo`` (ProdLDA: Srivastava, Sutton 2017, arXiv 1703.01488).
    Beside it each document is encoded once more with a share ``left_out`` of its words missing. Both mixtures pass a
    linear layer and GELU; the ``set_size`` documents that stand together in the (shuffled) batch are pooled by their
    largest values; and ``infonce`` lets each set find itself among the sets of the other side. With sets of one
    document that is the contrast of documents which the paper starts from.

    ``balance``: how ELBO and contrast share the encoder. "mgda": the shortest vector between their gradients at mean
    and log variance (``min_norm_weight``; its weight is logged as ``elbo weight``); decoder and contrast head follow
    their own loss alone. The ELBO is to be per word then (``--variant per_word``): that of whole documents has so long
    a gradient that the contrast's is the shortest vector. "sum": L = ELBO + contrast_weight contrast. "none": the ELBO
    alone.

    The vocabulary is that of the training texts: words of two letters or more in ``least_documents`` texts or more,
    without the ``most_frequent`` ones. The encoder sees all words, hashed.

    Of the paper the abstract alone was read. Pooling, the second version of a document and the place of the gradients
    (at rows, an upper bound of those at weights) are own choices. Its public ancestor, AdhyaSuman/CLNTM, scholar.py
    (read), has the same model, batch norms of gain 1 and prior; it contrasts single documents.
    """

    compares = ("reconstruction",)
    takes = "sentences"
    parts_batch = True
    default_loss = "topic_elbo"

    def __init__(
        self,
        parts,
        *,
        topics: Count(least=2) = 20,
        balance: Choice("mgda", "sum", "none") = "mgda",
        contrast_weight: NonNegative = 1.0,
        set_size: Count() = 4,
        temperature: Positive = 0.2,
        left_out: FractionBelowOne = 0.3,
        least_documents: Count() = 5,
        most_frequent: Count(least=0) = 50,
    ):
        super().__init__(parts)
        encoder, rng = self.encoder, parts.rng
        self.balance, self.contrast_weight, self.set_size = balance, contrast_weight, set_size
        self.temperature, self.left_out = temperature, left_out
        self.vocabulary = frequent_words(parts.data.train.texts, least_documents, most_frequent)
        if len(self.vocabulary) < 2:
            raise ValueError(
                f"method topic_model: {parts.data.name} leaves {len(self.vocabulary)} words, expected two or more; try "
                "--set method.least_documents=1 or --set method.most_frequent=0"
            )
        self.mean, self.log_variance = (
            Sequential(Linear(encoder.width, topics, rng), norm_of_gain_one(topics)) for _ in range(2)
        )
        self.decoder = Linear(topics, len(self.vocabulary), rng, bias=False)
        self.norm = norm_of_gain_one(len(self.vocabulary))
        self.contrast = None if balance == "none" else Sequential(Linear(topics, topics, rng), gelu)
        self.one_process = balance == "mgda"
        if balance == "mgda":
            self.register_buffer("elbo_weight", np.zeros((), dtype=np.float32))

    @classmethod
    def fits(cls, loss):
        return loss.required == ["scores", "counts", "mean", "log_variance"]

    def load(self, part, backend):
        return *self.encoder.tokenise(part.texts), self.word_numbers(part.texts)

    def word_numbers(self, texts):
        """(N, T) on the host: the places of a text's words in the vocabulary, after its last one the size of that."""
        place, none = {word: k for k, word in enumerate(self.vocabulary)}, len(self.vocabulary)
        rows = [[place[word] for word in words_of(text) if word in place] for text in texts]
        numbers = np.full((len(rows), max(1, *map(len, rows))), none)
        for row, own in zip(numbers, rows, strict=True):
            row[: len(own)] = own
        return numbers

    def sample(self, ids, mask, numbers, rng):
        stays = rng.random(mask.shape) >= self.left_out  # of all places, so that all ranks draw the same numbers
        ids, mask = trimmed(ids, mask)
        kept = mask & stays[:, : mask.shape[1]]
        noise = rng.standard_normal((len(ids), 2, self.decoder.weight.shape[0]), dtype=np.float32)
        return ids, mask, kept, numbers, noise

    def embed(self, ids, mask, kept, numbers, noise):
        pooled = self.encoder(ids, mask).pooled
        noise = backend_of(pooled.data).asarray(noise, dtype=pooled.dtype)
        gaussian = self._gaussian(pooled)
        if self.contrast is None:
            return pooled, gaussian, self._scores(gaussian, noise[:, 0])
        both = concatenate(gaussian, self._gaussian(self.encoder(ids, kept).pooled))
        for_elbo, for_sets = (both, both) if self.balance == "sum" else for_two_losses(both, weight=self.elbo_weight)
        count = len(pooled)
        gaussian = for_elbo[:count]
        sides = (
            self.contrast(_mixture(one, noise[:, k])) for k, one in enumerate((for_sets[:count], for_sets[count:]))
        )
        return pooled, gaussian, self._scores(gaussian, noise[:, 0]), *sides

    def _gaussian(self, pooled):
        """(B, 2 K): mean and log variance of the topics before the softmax."""
        return concatenate(self.mean(pooled), self.log_variance(pooled), axis=1)

    def _scores(self, gaussian, noise):
        """(B, V): of the words, from a draw of the topics."""
        return self.norm(self.decoder(_mixture(gaussian, noise)))

    def targets(self, ids, mask, kept, numbers, noise):
        return (numbers,)

    def compare(self, rows, targets, batch, objective):
        pooled, gaussian, scores, *sides = rows
        counts = counts_of(targets[0], len(self.vocabulary))
        counts = backend_of(scores.data).asarray(counts, dtype=scores.dtype)
        topics = gaussian.shape[1] // 2
        elbo = objective(scores, counts, gaussian[:, :topics], gaussian[:, topics:], embeddings=(pooled,))
        if not sides:
            return Step(elbo, pooled.data)
        contrast = infonce(*(pooled_sets(side, self.set_size) for side in sides), temperature=self.temperature)
        summed = self.balance == "sum"
        total = elbo + (self.contrast_weight if summed else 1.0) * contrast
        total.terms = {**elbo.terms, "contrast": contrast.data} | ({} if summed else {"elbo weight": self.elbo_weight})
        return Step(total, pooled.data)

    def topics(self):
        """(K, V): what a topic adds to the score of each word."""
        variance = self.norm.running_variance
        return self.decoder.weight.data / backend_of(variance).xp.sqrt(variance)


def norm_of_gain_one(width):
    """Batch norm that learns a bias alone: with a gain that may shrink, all documents come to have the same topics."""
    norm = BatchNorm(width)
    norm.gain.requires_grad = False
    return norm


def frequent_words(texts, least_documents, most_frequent):
    """The words of a vocabulary, a sorted tuple: those of ``TopicModel``."""
    documents = {}
    for text in texts:
        for word in set(words_of(text)):
            documents[word] = documents.get(word, 0) + 1
    by_frequency = sorted(documents, key=lambda word: (-documents[word], word))
    kept = [word for word in by_frequency[most_frequent:] if len(word) > 1 and documents[word] >= least_documents]
    return tuple(sorted(kept))


def counts_of(numbers, words):
    """(B, words) float32: how often each word stands in each row of ``numbers`` (B, T), where ``words`` is none."""
    counts = np.zeros((len(numbers), words + 1), dtype=np.float32)
    np.add.at(counts, (np.arange(len(numbers))[:, None], numbers), 1)
    return counts[:, :words]


def pooled_sets(rows, size):
    """(B // size, D): the largest values of every ``size`` rows (B, D) that stand together; the rest is unused.

    Raises:
        ValueError: fewer than two sets.
    """
    sets = len(rows) // size
    if sets < 2:
        raise ValueError(
            f"method topic_model: set_size: got {size} in a batch of {len(rows)}, expected two sets or more; try a "
            "larger --batch-size"
        )
    return largest(rows[: sets * size].reshape(sets, size, -1), axis=1)


def _mixture(gaussian, noise):
    """(B, K): topics of a document, drawn."""
    topics = noise.shape[1]
    return softmax(gaussian[:, :topics] + noise * exp(gaussian[:, topics:] * 0.5))
