"""How a callable wants its arrays: each by itself, views stacked or in a list, one side at a time, some transposed."""

from dataclasses import dataclass

VIEWS = ("stacked", "list", "one-sided")


@dataclass(frozen=True)
class Layout:
    """
    Attributes:
        views: "" (each array has a parameter), "stacked" (views along axis 1: (B, V, D)), "list" (one list of views) or
            "one-sided" (called for p1 with z2 and for p2 with z1; the mean of both values counts).
        transposed: names of arrays that are given as (D, K).
        dtype: "float32" where float64 is refused; "" for that of the case.
    """

    views: str = ""
    transposed: tuple = ()
    dtype: str = ""

    def sides(self, loss, arrays):
        """[names of the arrays of each call]: two lists for a callable of one side, else all in one.

        Raises:
            ValueError: one side of a loss that has no two.
        """
        if self.views != "one-sided":
            return [arrays]
        if not {"p1", "p2", "z1", "z2"} <= set(arrays):
            raise ValueError(f"--views one-sided: {loss.name} has no predictions p1, p2 of targets z2, z1")
        rest = [n for n in arrays if n not in ("p1", "p2", "z1", "z2")]
        return [["p1", "z2", *rest], ["p2", "z1", *rest]]

    def views_of(self, loss, arrays):
        """Names of the arrays that are views of the same rows and go to one parameter; [] where each has its own."""
        if self.views not in ("stacked", "list"):
            return []
        shape = loss.arrays[0].annotation.bare.letters
        return [p.name for p in loss.arrays if p.name in arrays and p.annotation.bare.letters == shape]

    def arranged(self, loss, values, stack):
        """``values`` {name: array or number} of one call as the callable takes them; ``stack(arrays)`` along axis 1."""
        values = {n: v.T if n in self.transposed else v for n, v in values.items()}
        views = self.views_of(loss, values)
        if not views:
            return values
        first, *others = views
        together = [values[n] for n in views]
        rest = {n: v for n, v in values.items() if n not in others}
        return {**rest, first: together if self.views == "list" else stack(together)}

    def text(self):
        """For a note: how the arrays were given, and the options that say so."""
        parts = [f"--views {self.views}"] if self.views else []
        parts += [f"--transposed {','.join(self.transposed)}"] if self.transposed else []
        parts += [f"--dtype {self.dtype}"] if self.dtype else []
        return " ".join(parts)


def other_layouts(loss, arrays):
    """Layouts to try where a callable does not take the arrays as they are."""
    plain = [Layout(views) for views in ("stacked", "list")]
    if {"p1", "p2", "z1", "z2"} <= set(arrays):
        plain = [Layout("one-sided")]
    queues = [n for n in arrays if "queue" in n]
    return [*plain, *(Layout(transposed=(n,)) for n in queues), Layout(dtype="float32")]
