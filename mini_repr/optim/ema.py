"""A teacher as the exponential moving average of its student (Tarvainen & Valpola 2017, arXiv 1703.01780)."""

import math

from mini_repr.backend import backend_of
from mini_repr.fused import elementwise


def update_ema(teacher, student, momentum):
    """teacher = momentum * teacher + (1 - momentum) * student, in place on ``.data``.

    Args:
        teacher, student: dicts name -> Tensor. Every name of the teacher must be in the student; names that only the
            student has (BYOL's predictor) have no teacher and are left out.
        momentum: in [0, 1].
    Raises:
        ValueError: momentum out of range, a name missing in the student, or shapes that differ.
    """
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(f"update_ema: momentum must lie in [0, 1], got {momentum}")
    missing = sorted(teacher.keys() - student.keys())
    if missing:
        raise ValueError(f"update_ema: student misses {', '.join(missing)}")
    for name, mean in teacher.items():
        if mean.shape != student[name].shape:
            raise ValueError(f"update_ema: {name} has shape {mean.shape} in teacher, {student[name].shape} in student")

    if teacher:
        pairs = [(student[name].data, mean.data) for name, mean in teacher.items()]
        moving_average.each(backend_of(*pairs[0]), [((momentum, 1.0 - momentum), pair) for pair in pairs])


@elementwise("number momentum, number rest, T value", "T mean", "mean = momentum * mean + rest * value;")
def moving_average(backend, momentum, rest, value, mean):
    mean *= momentum
    mean += value * rest


def cosine_momentum(step, total, base):
    """BYOL's teacher momentum, from ``base`` at step 0 to 1 at ``step == total``: 1 - (1 - base)(cos(pi k/K) + 1)/2.

    Source: Grill et al. 2020, arXiv 2006.07733, implementation details.

    Raises:
        ValueError: not 0 <= step <= total, total below 1, or base outside [0, 1].
    """
    if total < 1 or not 0 <= step <= total:
        raise ValueError(f"cosine_momentum: step must lie in [0, total] with total at least 1, got {step} and {total}")
    if not 0.0 <= base <= 1.0:
        raise ValueError(f"cosine_momentum: base must lie in [0, 1], got {base}")
    return 1.0 - (1.0 - base) * (math.cos(math.pi * step / total) + 1.0) / 2.0
