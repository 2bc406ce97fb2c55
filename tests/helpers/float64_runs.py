"""Training runs in float64, in which round-off is far below any real difference."""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.methods import kind_of
from mini_repr.training import config
from mini_repr.training.distributed import ALONE
from mini_repr.training.run import Run


def trained(settings, steps, world=ALONE):
    """{name: array} of all parameters and buffers after ``steps`` steps in float64, and ``loss``, that of each step."""
    data = load(**{"name_or_path": "digits", **_renamed(settings.get("data", {}))})
    settings = config.resolve(settings, kind_of(data))
    run = Run(settings, data, CPU, world)
    run.inputs = tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in run.inputs)
    for parameter in run.method.parameters():
        parameter.data = parameter.data.astype(np.float64)
    for module in run.method.named_modules().values():
        for name in module._buffers:
            buffer = getattr(module, name)
            setattr(module, name, buffer.astype(np.float64) if buffer.dtype.kind == "f" else buffer)
    own = {n: v for n, v in settings["optimizer"].items() if n in ("momentum", "weight_decay", "nesterov", "betas")}
    run.optimizer = type(run.optimizer)(run.method.trained_parameters(), settings["optimizer"]["lr"], **own)
    losses = []
    for index in run.batches.epoch_batches(0)[:steps]:
        terms, _, _ = run.train_step(index)
        losses.append(terms["loss"])
    return {**run.method.state_dict(), "loss": np.array(losses)}


def _renamed(options):
    """The options of a data set as ``load`` takes them."""
    return {"name_or_path" if name == "name" else name: value for name, value in options.items()}
