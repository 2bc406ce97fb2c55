"""SupCon over the rows of all ranks without ever holding them.

The log-sum-exp of an anchor's logits with all other rows is taken on the ring. The mean logit with its positives needs
no rows of other ranks, only the sum of each class: K x D numbers, added up over ranks.
"""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.ring import among


def ring_supcon(
    z,
    labels,
    *,
    world,
    temperature,
    form,
    normalize,
    base_temperature,
    mean_over,
    reduction,
    tile,
):
    """``supcon`` of the rows of all ranks, the same on every rank.

    Gradients: of z, whole, for the own rows; of the temperature, whole.

    Args:
        z: (n, D), the own rows. labels: (n,) integers on the host.
        world: ``World`` of the ranks. The rest: as ``supcon``; ``form`` "out", and no reduction "none".
    Raises:
        ValueError: no two labels of the batch are equal.
    """
    backend = backend_of(z)
    xp = backend.xp
    everyone = world.gather(np.ascontiguousarray(labels))
    classes, of_class = np.unique(everyone, return_counts=True)
    kind = np.searchsorted(classes, labels)
    anchors = int(of_class[of_class > 1].sum())
    if not anchors:
        raise ValueError(f"supcon: labels: got {len(everyone)} different ones, expected two that are equal")
    u, to_z = rows_of(z, normalize)
    t = float(temperature)
    scale, positives = 1 / t, backend.asarray((of_class[kind] - 1).astype(u.dtype))
    kind, has_any = backend.asarray(kind), positives > 0
    share = has_any / xp.maximum(positives, 1)  # 1 / |P(i)|

    def over_positives(rows):
        sums = xp.zeros((len(classes), rows.shape[1]), dtype=rows.dtype)
        backend.scatter_add(sums, kind, rows)
        return world.sum(sums)[kind] - rows

    over_all, back_all = among(world, u, scale, tile)
    centre = over_positives(u) * share[:, None].astype(u.dtype)
    logit = (u * centre).sum(axis=1) * scale
    rows = len(everyone) if mean_over == "rows" else anchors
    factor = (1 / rows if reduction == "mean" else 1) * (1 if base_temperature is None else t / base_temperature)
    weight = has_any.astype(u.dtype) * factor
    total = world.total((over_all - logit) * weight)

    def backward(g):
        r = weight * g
        du, d_scale = back_all(r)
        du -= scale * (r[:, None] * centre + over_positives((r * share).astype(u.dtype)[:, None] * u))
        d_scale -= (r * logit).sum() / scale
        d_temperature = world.sum(d_scale[None])[0] * -(scale**2)
        if base_temperature is not None:
            d_temperature = d_temperature + g * total * scale
        return to_z(du), d_temperature

    return total, backward
