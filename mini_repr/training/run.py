"""One training run: its method, optimiser, random state and position, stepped an epoch at a time and saved whole."""

import math
import time

import numpy as np

from mini_repr.data import Batches
from mini_repr.methods import build_method
from mini_repr.metrics import dimension_std, effective_rank
from mini_repr.optim import OPTIMIZERS, clip_by_global_norm, constant, cosine_with_warmup
from mini_repr.training import checkpoint
from mini_repr.training.folder import CHECKPOINT

SCHEDULES = {"cosine": cosine_with_warmup, "constant": constant}
# Independent random streams of one seed: weights, and views with masks. The order of rows has its own (see Batches).
WEIGHTS, VIEWS = 0, 1


class Diverged(RuntimeError):
    """The loss or the gradient is no finite number."""


class Run:
    """A run in progress.

    Args:
        settings: as ``config.resolve`` returns. data: the data set. backend: where to compute.
    """

    def __init__(self, settings, data, backend):
        self.settings, self.data, self.backend = settings, data, backend
        train, optimizer = settings["train"], settings["optimizer"]
        self.method = build_method(settings, data, np.random.default_rng([train["seed"], WEIGHTS])).to(backend)
        self.batches = Batches(len(data.train), train["batch_size"], train["seed"])
        self.images = backend.asarray(data.train.images)
        self.labels = None if data.train.labels is None else backend.asarray(data.train.labels)
        own = {n: v for n, v in optimizer.items() if n not in ("name", "lr", "schedule", "warmup_steps", "clip_norm")}
        self.optimizer = OPTIMIZERS[optimizer["name"]](self.method.trained_parameters(), optimizer["lr"], **own)
        self.rng = np.random.default_rng([train["seed"], VIEWS])
        self.epoch = self.step = 0

    @property
    def total_steps(self):
        return self.settings["train"]["epochs"] * self.batches.per_epoch

    @property
    def finished(self):
        return self.epoch >= self.settings["train"]["epochs"]

    def train_epoch(self):
        """One pass over the data. Returns a record of plain numbers: means of the terms, norms, collapse indicators.

        Raises:
            Diverged: the loss or the gradient norm is NaN or infinite; parameters are those before that step.
        """
        started = time.perf_counter()
        self.method.train()
        sums, norms, embeddings = {}, [], None
        for index in self.batches.epoch_batches(self.epoch):
            terms, norm, embeddings = self._train_step(self.backend.asarray(index))
            norms.append(norm)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "step": self.step,
            **{name: total / len(norms) for name, total in sums.items()},
            "gradient_norm": float(np.mean(norms)),
            "learning_rate": self._learning_rate(self.step - 1),
            "std": float(dimension_std(embeddings)),
            "effective_rank": float(effective_rank(embeddings)),
            "seconds": time.perf_counter() - started,
        }

    def _train_step(self, index):
        labels = None if self.labels is None else self.labels[index]
        total, embeddings = self.method.step(self.images[index], labels, self.rng)
        terms = {"loss": total.item(), **{name: float(value) for name, value in total.terms.items()}}
        self._require_finite(terms["loss"], "loss")
        self.optimizer.zero_grad()
        total.backward()
        norm = float(
            clip_by_global_norm(self.optimizer.parameters, self.settings["optimizer"]["clip_norm"] or math.inf)
        )
        self._require_finite(norm, "gradient norm")
        self.optimizer.step(self._learning_rate(self.step))
        self.step += 1
        self.method.after_step(self.step, self.total_steps)
        return terms, norm, embeddings

    def _learning_rate(self, step):
        optimizer = self.settings["optimizer"]
        warmup = min(optimizer["warmup_steps"], self.total_steps // 4)
        return SCHEDULES[optimizer["schedule"]](step, self.total_steps, warmup, optimizer["lr"])

    def _require_finite(self, value, what):
        if not math.isfinite(value):
            raise Diverged(
                f"step {self.step + 1}: the {what} of {self.settings['loss']['name']} is {value}. The last checkpoint "
                "is intact. Try a lower --lr, --set optimizer.clip_norm=1, a longer optimizer.warmup_steps or a higher "
                "temperature"
            )

    def save(self, folder):
        """Write everything that resuming needs, whole or not at all."""
        arrays = {f"method/{name}": value for name, value in self.method.state_dict().items()}
        arrays |= {f"optimizer/{name}": value for name, value in self.optimizer.state_dict().items()}
        meta = {
            "settings": self.settings,
            "epoch": self.epoch,
            "step": self.step,
            "random": {"views": self.rng.bit_generator.state, "modules": self.method.random_state()},
        }
        checkpoint.save(folder / CHECKPOINT, arrays, meta)

    def restore(self, folder):
        """Go on from a checkpoint of the same settings."""
        arrays, meta = checkpoint.load(folder / CHECKPOINT)
        self.method.load_state_dict(_part(arrays, "method/"))
        self.optimizer.load_state_dict(_part(arrays, "optimizer/"))
        self.epoch, self.step = meta["epoch"], meta["step"]
        self.rng.bit_generator.state = meta["random"]["views"]
        self.method.set_random_state(meta["random"]["modules"])

    def start_from(self, folder):
        """Take the weights of another run, and nothing else of it."""
        arrays, _ = checkpoint.load(folder / CHECKPOINT)
        self.method.load_state_dict(_part(arrays, "method/"))


def _part(arrays, prefix):
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
