"""Edit direction: an image must change, in the towers' common space, in the direction in which its caption changes.

Definition. With e = image - image_before and f = text - text_before, the rows of an edited image and of its source, and
those of what they should show,

    L = mean over images of  1 - e·f / (|e| |f|)

Gradient. With u = e / |e|, w = f / |f|: dimage = -(w - u (u·w)) / (B |e|); the other rows are constants.

Shapes: all (B, D). 0 <= L <= 2. An image that has not changed has no direction: 1, and no gradient.

Source. Gal et al. 2021, arXiv 2108.00946 (StyleGAN-NADA), as Yang, Hwang, Ye 2023, arXiv 2303.08622 (ZeCon), takes it;
checked against the official code of the latter, YSerin/ZeCon, optimization/losses.py (d_clip_dir_loss).
"""

from mini_repr.autograd import stop_gradient, unit_rows
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import between, exact, permutation, rotation, translation
from mini_repr.pages.loss import definition, loss

_FROM, _CAPTION = [[1.0, 1.0]], {"text": [[3.0, 0.0]], "text_before": [[1.0, 0.0]]}

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum \Bigl( 1 - \frac{e \cdot f}{\lVert e \rVert \, \lVert f \rVert} \Bigr)

e = x - x', \ f = t - t': \text{images and texts, after less before}
""",
    "gradient": r"""
\mathrm{d}x = -\frac{w - u \, (u \cdot w)}{B \, \lVert e \rVert}

u = \frac{e}{\lVert e \rVert}

w = \frac{f}{\lVert f \rVert}
""",
}


@loss(
    paper="110",
    tex=_TEX,
    invariants=[
        permutation("B"),
        rotation("D"),
        translation("image", "image_before"),
        translation("text", "text_before"),
        between(0, 2),
        exact("along the caption's", 0.0, image=[[5.0, 1.0]], image_before=_FROM, **_CAPTION),
        exact("against it", 2.0, image=[[0.0, 1.0]], image_before=_FROM, **_CAPTION),
        exact("unchanged", 1.0, image=_FROM, image_before=_FROM, **_CAPTION),
    ],
)
def edit_direction(
    image: Rows("B D"),
    image_before: Rows("B D", frozen=True),
    text: Rows("B D", frozen=True),
    text_before: Rows("B D", frozen=True),
):
    u, to_image = unit_rows.on_arrays(image - image_before)
    w, _ = unit_rows.on_arrays(text - text_before)
    return 1 - (u * w).sum(axis=1).mean(), lambda g: (to_image(w * (-g / len(w))),)


@definition(edit_direction)
def edit_direction_definition(image, image_before, text, text_before):
    e = unit_rows(image - stop_gradient(image_before))
    f = unit_rows(stop_gradient(text) - stop_gradient(text_before))
    return (1 - (e * f).sum(axis=1)).mean()
