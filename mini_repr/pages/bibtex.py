"""BibTeX of the papers behind a name."""

import re

from mini_repr.catalogue import paper, papers
from mini_repr.pages.field_names import called


def entries(name):
    """The BibTeX entries of a name.

    Raises:
        ValueError: nothing has that name.
    """
    pages, _ = called(name)
    found = [paper(number) for number in dict.fromkeys(n for page in pages for n in page.papers)]
    if not pages:
        found = [paper(name)]
    known = {one.arxiv for one in papers()}
    named = [arxiv for page in pages for arxiv in re.findall(r"arXiv[ :]+(\d{4}\.\d{4,5})", page.text)]
    others = [arxiv for arxiv in dict.fromkeys(named) if arxiv not in known]
    return [_entry(one) for one in found] + [_unnamed(arxiv) for arxiv in others]


def _entry(one):
    fields = {
        "title": "{" + one.title + "}",
        "author": one.authors.replace(" et al.", " and others"),
        "year": one.year,
        "eprint": one.arxiv,
        "archivePrefix": one.arxiv and "arXiv",
        "url": one.link,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{one.key},", *lines, "}"])


def _unnamed(arxiv):
    lines = [f"  eprint = {{{arxiv}}},", "  archivePrefix = {arXiv},", f"  url = {{https://arxiv.org/abs/{arxiv}}},"]
    return "\n".join([f"@misc{{arxiv-{arxiv},", *lines, "}"])
