"""Which words a model's states still hold: what was recovered from them, read back as words."""

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Count, Labels, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="050", sizes={"V": 7, "N": 9})
def input_recovery(rows: Rows("N D"), table: Rows("V D"), words: Labels("N", classes="V"), top: Count() = 1):
    """Share of words that can be read back from recovered input rows.

    A row e is read as the words with the ``top`` largest numbers of e E⁺, E⁺ the pseudo-inverse of the table E of word
    embeddings: of an embedding itself that is a 1 at its word where the table's rows are independent, and the largest
    number for tables of more words. A word is recovered if it is among them. The rows are usually found by descent on
    the distance between a model's states for them and for the true words, from a random start.

    Source: Badger 2024, arXiv 2409.01482, section 3 (input representation accuracy; the official code counts the top 5,
    and its Hamming metric is the share that is missed).

    Args:
        rows: recovered input rows. table: of word embeddings. words: which word each row should be.
        top: words read from a row, at most V.
    Returns:
        float in [0, 1].
    """
    xp = backend_of(rows).xp
    numbers = rows.astype("float64") @ xp.linalg.pinv(table.astype("float64"))
    own = xp.take_along_axis(numbers, words[:, None], axis=1)
    return float(((numbers > own).sum(axis=1) < top).mean())


@definition(input_recovery)
def input_recovery_definition(rows, table, words, top):
    xp = backend_of(rows).xp
    inverse, found = xp.linalg.pinv(table), 0
    for row, word in zip(rows, words, strict=True):
        largest = xp.argsort(-(row @ inverse))[:top]
        found += int(word) in [int(one) for one in largest]
    return found / len(rows)
