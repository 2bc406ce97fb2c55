"""Losses that compare no row with those of another sample: the mean, or sum, over ranks of the page on the own rows."""


def apart(page):
    """The form over ranks of a page with a ``reduction`` whose loss of a row needs no other row, and no learned scalar.

    Its named parts are means over rows.
    """

    def form(*, world, reduction, **arguments):
        value, backward, *terms = page.thing(**arguments, reduction=reduction)
        share = 1 / world.size if reduction == "mean" else 1
        terms = {name: world.total(part) / world.size for one in terms for name, part in one.items()}
        return world.total(value) * share, lambda g: backward(g * share), terms

    return form
