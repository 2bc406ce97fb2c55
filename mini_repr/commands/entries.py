"""What there is of a kind: its declared pages, or the entries of a registry whose kind declares no pages yet."""

import inspect
from typing import NamedTuple


class Entry(NamedTuple):
    """``made`` is the function or class, ``needs`` the arrays of a metric, ``page`` its page if it is declared."""

    kind: str
    name: str
    made: object
    description: str
    needs: str = ""
    page: object = None


def entries_of(kind):
    """{name: Entry} of a kind of page."""
    from mini_repr.pages.registry import pages_of

    found = [Entry(kind, name, page.thing, _summary(page), page=page) for name, page in pages_of(kind).items()]
    if not found and kind == "metric":
        from mini_repr.metrics import METRICS

        found = [Entry(kind, n, m.function, m.description, m.needs.replace(",", ", ")) for n, m in METRICS.items()]
    if not found and kind == "method":
        from mini_repr.methods import METHODS

        found = [Entry(kind, n, cls, inspect.getdoc(cls).splitlines()[0]) for n, cls in METHODS.items()]
    if not found and kind == "encoder":
        from mini_repr.nn import ENCODERS

        found = [Entry(kind, n, one.make, one.description) for n, one in ENCODERS.items()]
    return {entry.name: entry for entry in found}


def _summary(page):
    variants = f" Variants: {', '.join(page.variants)}." if page.variants else ""
    return f"{page.summary.rstrip('.')}.{variants}"
