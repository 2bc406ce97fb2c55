"""The papers: what each is, which rooms it lives in, and whether it works yet. ``mini-repr list --papers`` prints it.

The list is the file ``papers.tsv`` beside this module, one row per paper; it is read at the first question. Columns, of
which empty ones at the end of a row may be left out:

    number, key        "092", "infonce": both are unique, either finds the row
    title, authors     the exact title; one surname, "First and Second" or "First et al."; empty where not confirmed
    year, arxiv        of the first arXiv version; empty where not confirmed
    room               where its code lives, comma-separated, as in the design ("losses/pairs,metrics")
    status             "works", "partial" or "planned"; what the claim's verdict is does not change it
    fidelity           for "works" and "partial": what it was held against, one of FIDELITIES
    where              for "works" and "partial": the pages, comma-separated, each ``kind:name`` with one of the kinds
                       of ``pages/page.py``, and ``module:dotted.path:attribute`` for the rest
    missing            for "partial": what is missing, in words
"""

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import zip_longest

STATUSES = ("works", "partial", "planned")
# From the strongest: its authors' code, run or read; the paper; other people's code or words; nothing better was read.
FIDELITIES = ("official code", "paper text", "third party", "own reading")
# Folders of the package (data holds the views) and, last, the two places outside its layers.
ROOMS = (
    "autograd",
    "data",
    "losses",
    "losses/embeddings",
    "losses/labels",
    "losses/maps",
    "losses/pairs",
    "losses/reconstruction",
    "losses/scores",
    "losses/teachers",
    "losses/towers",
    "masking",
    "methods",
    "methods/diffusion",
    "methods/language",
    "methods/masked",
    "methods/momentum",
    "methods/two_tower",
    "metrics",
    "metrics/theory",
    "nn",
    "optim",
    "posthoc",
    "standins",
    "posthoc/unlearning",
    "tokens",
    "training",
    "evaluation",
    "scripts",
)


@dataclass(frozen=True)
class Paper:
    """One row. ``rooms`` and ``where`` are tuples; ``year`` is None where it is not confirmed."""

    number: str
    key: str
    title: str
    authors: str
    year: int | None
    arxiv: str
    rooms: tuple[str, ...]
    status: str
    fidelity: str
    where: tuple[str, ...]
    missing: str = ""

    @property
    def link(self):
        """The address of its arXiv abstract, or ""."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""

    def cite(self):
        """One line: authors, year and arXiv id, as far as they are known; the title stands in for unknown authors."""
        parts = [self.authors or self.title, str(self.year or ""), f"arXiv {self.arxiv}" if self.arxiv else ""]
        return ", ".join(part for part in parts if part)


@cache
def papers() -> tuple[Paper, ...]:
    """Every paper, in order of number."""
    text = resources.files("mini_repr").joinpath("papers.tsv").read_text(encoding="utf-8")
    header, *rows = (line.split("\t") for line in text.splitlines())
    return tuple(_paper(dict(zip_longest(header, row, fillvalue=""))) for row in rows)


def paper(number_or_key) -> Paper:
    """The paper with this number (``"092"``, ``"92"`` or ``92``) or key (``"infonce"``).

    Raises:
        ValueError: there is none; the message names the nearest key or number.
    """
    wanted = str(number_or_key).strip().lower()
    index = _index()
    name = wanted.zfill(3) if wanted.isdecimal() else wanted
    if name in index:
        return index[name]
    near = difflib.get_close_matches(name, index, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else "`mini-repr list --papers` shows them all"
    raise ValueError(f"no paper {number_or_key!r} in the catalogue: {hint}")


@cache
def _index():
    return {name: entry for entry in papers() for name in (entry.number, entry.key)}


def _paper(row):
    return Paper(
        number=row["number"],
        key=row["key"],
        title=row["title"],
        authors=row["authors"],
        year=int(row["year"]) if row["year"] else None,
        arxiv=row["arxiv"],
        rooms=_parts(row["room"]),
        status=row["status"],
        fidelity=row["fidelity"],
        where=_parts(row["where"]),
        missing=row["missing"],
    )


def _parts(cell):
    return tuple(part.strip() for part in cell.split(",") if part.strip())
