"""Prototype: a caption with a new word should mean what the image, its object and the object's class mean together.

Definition. With u(x) = x / |x| and, of each row, the text t, the image x, its object alone o and the class's text k,

    h = u( (u(x) + u(o) + u(k)) / 3 ),        L = mean over rows of 1 - u(t)·h

h is a constant. Of ``among`` "class" only u(k) is in h, of "images" u(x) and u(o).

Gradient. dt = -(h - u (u·h)) / (B |t|), u = u(t).

Shapes: text, image, object, name (B, D); only the text has a gradient. 0 <= L <= 2. Rows that cancel leave h = 0 and
L = 1. Images and texts lie apart in the common space, so that with all three L stays above 0.

Source. Lu, Xie, Guo 2024, arXiv 2401.15708, the embeddings' average, as others summarise it; no code was found.
"""

from mini_repr.autograd import stop_gradient, unit_rows
from mini_repr.pages.arguments import Choice, Rows
from mini_repr.pages.invariants import between, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

AMONG = {"all": (0, 1, 2), "class": (2,), "images": (0, 1)}
_X = [[3.0, 4.0]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum \bigl( 1 - u(t) \cdot h \bigr)

h = u \Bigl( \frac{u(x) + u(o) + u(k)}{3} \Bigr)

u(x) = \frac{x}{\lVert x \rVert}
""",
    "gradient": r"""
\mathrm{d}t = -\frac{h - u(t) \, (u(t) \cdot h)}{B \, \lVert t \rVert}
""",
}


@loss(
    paper="112",
    tex=_TEX,
    variants={
        "class": variant("the class's text alone", among="class"),
        "images": variant("the image and its object", among="images"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("text", "image", "object", "name"),
        between(0, 2),
        exact("all one direction", 0.0, text=[[6.0, 8.0]], image=_X, object=_X, name=_X),
        exact("the class's opposite", 2.0, text=[[-1.0, 0.0]], image=_X, object=_X, name=[[2.0, 0.0]], among="class"),
    ],
)
def prototype(
    text: Rows("B D"),
    image: Rows("B D", frozen=True),
    object: Rows("B D", frozen=True),
    name: Rows("B D", frozen=True),
    among: Choice(*AMONG) = "all",
):
    u, to_text = unit_rows.on_arrays(text)
    known = (image, object, name)
    h = unit_rows.on_arrays(sum(unit_rows.on_arrays(known[k])[0] for k in AMONG[among]))[0]
    return 1 - (u * h).sum(axis=1).mean(), lambda g: (to_text(h * (-g / len(h))),)


@definition(prototype)
def prototype_definition(text, image, object, name, among):
    known = [unit_rows(stop_gradient(x)) for x in (image, object, name)]
    chosen = [known[k] for k in AMONG[among]]
    h = unit_rows(sum(chosen[1:], chosen[0]) / len(chosen))
    return 1 - (unit_rows(text) * h).sum(axis=1).mean()
