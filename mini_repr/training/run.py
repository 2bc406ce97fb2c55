"""One training run: its method, optimiser, random state and position, stepped an epoch at a time and saved whole."""

import math
import textwrap
import time

import numpy as np

from mini_repr.backend import single_threaded_products
from mini_repr.data import BalancedBatches, Batches, BoundBatches
from mini_repr.methods import Batch, build_method
from mini_repr.metrics import dimension_std, effective_rank
from mini_repr.nn import BatchNorm
from mini_repr.optim import SAM, clip_by_global_norm, constant, cosine_with_warmup
from mini_repr.pages.names import find
from mini_repr.training import checkpoint
from mini_repr.training.config import CLIMBING, SAM_SETTINGS, SCHEDULE
from mini_repr.training.distributed import ALONE, Spread
from mini_repr.training.folder import CHECKPOINT
from mini_repr.training.gradients import backward

SCHEDULES = {"cosine": cosine_with_warmup, "constant": constant}
# Independent random streams of one seed: weights, and views with masks. The order of rows has its own (see Batches).
WEIGHTS, VIEWS = 0, 1


class Diverged(RuntimeError):
    """The loss or the gradient is no finite number."""


class Run:
    """A run in progress.

    Args:
        settings: as ``config.resolve`` returns. data: the data set. backend: where to compute.
        world: the ranks that train together, each with its own ``Run``; nothing of a run's state depends on them.
    """

    def __init__(self, settings, data, backend, world=ALONE):
        self.settings, self.data, self.backend, self.world = settings, data, backend, world
        train, optimizer = settings["train"], settings["optimizer"]
        self.method = build_method(settings, data, np.random.default_rng([train["seed"], WEIGHTS])).to(backend)
        self.spread = Spread(self.method, train["batch_size"], world, train["loss_groups"])
        self.spread.part_dropout(self.method)
        if train["grad_cache"]:
            _require_chunks(self.method)
        self.batches = _batches(train, data.train)
        self.inputs = self.method.load(data.train, backend)
        self.labels = None if data.train.labels is None else backend.asarray(data.train.labels)
        name = optimizer["name"].removeprefix(CLIMBING)
        own = {n: v for n, v in optimizer.items() if n not in ("name", "lr", *SCHEDULE, *SAM_SETTINGS)}
        self.optimizer = find("optimiser", name).thing(self.method.trained_parameters(), optimizer["lr"], **own)
        if name != optimizer["name"]:
            self.optimizer = SAM(self.optimizer, **{name: optimizer[name] for name in SAM_SETTINGS})
        self.rng = np.random.default_rng([train["seed"], VIEWS])
        self.epoch = self.step = 0
        self.origin = ""  # where the first weights came from, if not from the seed

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
        with single_threaded_products:  # the step's own threads have the cores
            for index in self.batches.epoch_batches(self.epoch):
                terms, norm, embeddings = self._train_step(self.backend.asarray(self.spread.own(index)))
                norms.append(norm)
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value
        self.epoch += 1
        embeddings = self.spread.all_rows(embeddings)
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
        batch = Batch(
            tuple(array[index] for array in self.inputs), None if self.labels is None else self.labels[index], index
        )
        self.method.objective.progress = self.step / self.total_steps
        self.optimizer.zero_grad()
        chunk = self.settings["train"]["grad_cache"]
        before = self._moving() if isinstance(self.optimizer, SAM) else None
        total, embeddings = backward(self.method, batch, self.rng, self.spread, chunk)
        terms = {"loss": total.item(), **{name: float(value) for name, value in total.terms.items()}}
        terms = self.spread.numbers(terms)
        self._require_finite(terms["loss"], "loss")
        if before:
            self._again_at_the_top(batch, chunk, before)
        norm = float(
            clip_by_global_norm(self.optimizer.parameters, self.settings["optimizer"]["clip_norm"] or math.inf)
        )
        self._require_finite(norm, "gradient norm")
        self.optimizer.step(self._learning_rate(self.step))
        self.step += 1
        self.method.after_step(self.step, self.total_steps)
        return terms, norm, embeddings

    def _again_at_the_top(self, batch, chunk, before):
        """SAM's second pass: the same views, masks and dropout, and the same queues and statistics as the first saw.

        What the first pass did to these stays; what the second does is undone.
        """
        after = self._moving()
        self._put_back(before)
        self.optimizer.ascend()
        backward(self.method, batch, self.rng, self.spread, chunk)
        self._put_back(after)

    def _moving(self):
        """All that a pass moves besides gradients: buffers and random states."""
        buffers = {name: array.copy() for name, array in self.method.named_buffers().items()}
        return buffers, self.method.random_state(), self.rng.bit_generator.state

    def _put_back(self, state):
        buffers, modules, views = state
        for name, array in self.method.named_buffers().items():
            array[...] = buffers[name]
        self.method.set_random_state(modules)
        self.rng.bit_generator.state = views

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
        """Write everything that resuming needs, whole or not at all: the first rank, for all."""
        if not self.world.is_first:
            return
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
        arrays, meta = self._loaded(folder)
        try:
            self.method.load_state_dict(_part(arrays, "method/"))
            self.optimizer.load_state_dict(_part(arrays, "optimizer/"))
            self.epoch, self.step = int(meta["epoch"]), int(meta["step"])
            self.rng.bit_generator.state = meta["random"]["views"]
            self.method.set_random_state(meta["random"]["modules"])
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoint.CheckpointError(
                f"{folder / CHECKPOINT}: does not fit the settings beside it{folder.other_version()}: {_brief(error)}"
            ) from error
        self.spread.part_dropout(self.method)

    def start_from(self, folder):
        """Take the weights of another run, or its encoder's, and nothing else of it; ``origin`` says which.

        Raises:
            ValueError: its encoder is another than this run's; names both.
        """
        arrays, meta = self._loaded(folder)
        try:
            taken = self.method.start_from(_part(arrays, "method/"))
        except ValueError as error:
            theirs, ours = (_kinds(settings) for settings in (meta.get("settings", {}), self.settings))
            raise ValueError(
                f"--init-from {folder.path}: weights of {theirs}, expected weights for {ours}: {_brief(error)}"
            ) from error
        self.origin = f", from the {taken} of {folder.path}"

    def _loaded(self, folder):
        """The checkpoint in a folder that only the first rank needs to reach."""
        return self.world.from_first(checkpoint.load(folder / CHECKPOINT) if self.world.is_first else None)


def _batches(train, part):
    """Which rows make up each batch, by ``train.batches``."""
    kind, size, seed = train["batches"], train["batch_size"], train["seed"]
    if kind == "shuffled":
        return Batches(len(part), size, seed)
    if part.labels is None:
        raise ValueError(f"setting train.batches: {kind} batches need labels, and the data has none")
    if kind == "bound":
        return BoundBatches(part.labels, size, seed)
    samples, classes = train["samples_per_class"], len(np.unique(part.labels))
    if size % samples or not 2 <= size // samples <= classes:
        raise ValueError(
            f"setting train.batch_size: got {size}, expected samples_per_class={samples} times 2 to {classes} classes "
            "for balanced batches"
        )
    return BalancedBatches(part.labels, size // samples, samples, seed)


def _require_chunks(method):
    """Refuse gradient caching where it would not give the full batch's gradient."""
    name = type(method).__name__.lower()
    if not method.divisible:
        raise ValueError(f"train.grad_cache: method {name} cannot be divided into chunks; expected 0")
    norms = [path for path, module in method.named_modules().items() if isinstance(module, BatchNorm)]
    if norms:
        raise ValueError(
            f"train.grad_cache: {norms[0]} is a batch norm, whose statistics in a chunk are not those of the batch; "
            "expected 0, or networks without (--encoder vit, or encoder.norm=layer, and method.batch_norm=false)"
        )


def _brief(error):
    """An error in one short line: of many missing names a few will do."""
    text = f"misses {error}" if isinstance(error, KeyError) else str(error)
    return textwrap.shorten(text, 160, placeholder=" ...")


def _kinds(settings):
    """ "infonce by siamese with vit": what decides which weights a run has."""
    loss, method, encoder = (settings.get(section, {}).get("name") for section in ("loss", "method", "encoder"))
    return f"{loss} by {method} with {encoder}"


def _part(arrays, prefix):
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
