"""What there is of a kind: its declared pages, or the entries of a registry whose kind declares no pages yet."""

import inspect
from typing import NamedTuple


class Thing(NamedTuple):
    """``made`` is the function or class, ``needs`` the arrays of a metric, ``page`` its page if it is declared."""

    kind: str
    name: str
    made: object
    description: str
    needs: str = ""
    page: object = None


def things_of(kind):
    """{name: Thing} of a kind of page."""
    from mini_repr.methods import METHODS
    from mini_repr.metrics import METRICS
    from mini_repr.nn import ENCODERS
    from mini_repr.pages.registry import pages_of

    found = [Thing(kind, name, page.thing, _summary(page), page=page) for name, page in pages_of(kind).items()]
    if not found and kind == "metric":
        found = [Thing(kind, n, m.function, m.description, m.needs.replace(",", ", ")) for n, m in METRICS.items()]
    if not found and kind == "method":
        found = [Thing(kind, n, cls, inspect.getdoc(cls).splitlines()[0]) for n, cls in METHODS.items()]
    if not found and kind == "encoder":
        found = [Thing(kind, n, one.make, one.description) for n, one in ENCODERS.items()]
    return {thing.name: thing for thing in found}


def _summary(page):
    variants = f" Variants: {', '.join(page.variants)}." if page.variants else ""
    return f"{page.summary.rstrip('.')}.{variants}"
