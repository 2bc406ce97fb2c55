"""The chapters of the book: Markdown files beside this module, and the tables in them that are written from data."""

from collections import Counter
from importlib import resources

from mini_repr.catalogue import paper
from mini_repr.claims.bench.report import deciding
from mini_repr.claims.bench.results import all_stored
from mini_repr.pages.registry import all_losses

# In the order of the book.
CHAPTERS = (
    "reading",
    "using",
    "losses",
    "check",
    "slips",
    "libraries",
    "vectors",
    "float32",
    "training",
    "claims",
    "speed",
    "large_batches",
    "gpu",
    "adding",
    "package",
    "changelog",
)
# The verdicts of claims as the README counts them.
WORDS = {"holds": "hold here", "does not hold": "do not hold", "unclear": "are unclear"}
FOLDER = resources.files("mini_repr") / "book"
END = "<!-- end of table -->"


def chapter(name):
    """The Markdown of a chapter; its links lead to files, from the chapter's own folder."""
    return FOLDER.joinpath(f"{name}.md").read_text(encoding="utf-8")


def with_table(text, lines, script="scripts/run_claims.py"):
    """A text with these lines between the comment that names the script that writes them and the next that ends it."""
    start = f"<!-- table: written by {script} --table -->"
    before, _, rest = text.partition(start)
    return "\n".join([before + start, *lines, END]) + rest.partition(END)[2]


def losses_table():
    """The lines of the table of all losses, from their declarations."""
    rows = [
        (
            f"[`{name}`](../losses/{page.compares}/{name}.py)",
            f"`{page.compares}/`",
            page.summary.rstrip("."),
            ", ".join(f"`{variant}`" for variant in page.variants),
        )
        for name, page in all_losses().items()
    ]
    return _table(("loss", "folder", "in one line", "named variants"), rows)


def claims_table():
    """The lines of the table of all claims, from their stored results."""
    rows = [
        (
            f"{paper(key).number} [{key}](../claims/{key}.py)",
            result["says"],
            result["verdict"],
            deciding(result),
            str(result["seeds"]),
        )
        for key, result in all_stored().items()
        if result
    ]
    return _table(("paper", "claim", "verdict", "what decides it", "seeds"), rows)


def _table(header, rows):
    """The lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


# What is written into the chapter of each name.
TABLES = {"losses": losses_table, "claims": claims_table}


def claims_totals():
    """One line, as a list: how many claims there are, and how many of each verdict."""
    counts = Counter(result["verdict"] for result in all_stored().values() if result)
    verdicts = ", ".join(f"{counts[verdict]} {words}" for verdict, words in WORDS.items())
    return [f"{counts.total()} claims measured: {verdicts}."]
