"""One training run: its method, optimiser, random state and position, stepped an epoch at a time and saved whole."""

import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import chain, pairwise

import numpy as np

from mini_repr.backend import CPU, backend_of, single_threaded_products
from mini_repr.data import BalancedBatches, Batches, BoundBatches, TaskBatches
from mini_repr.methods import Batch, build_method
from mini_repr.metrics import dimension_std, effective_rank
from mini_repr.nn import BatchNorm
from mini_repr.optim import SAM
from mini_repr.pages.names import find
from mini_repr.training import checkpoint
from mini_repr.training.distributed import ALONE, BatchSharding
from mini_repr.training.folder import CHECKPOINT
from mini_repr.training.moved import arrays_of_older_run
from mini_repr.training.sections import CLIMBING, LearningRate, Training
from mini_repr.training.step import Diverged as Diverged
from mini_repr.training.step import training_step
from mini_repr.training.stored import stored_encoder

# Independent random streams of one seed: weights, and views with masks. The order of rows has its own (see Batches).
WEIGHTS, VIEWS = 0, 1


class Run:
    """A run in progress.

    Args:
        settings: as ``config.resolve`` returns. data: the data set. backend: where to compute.
        world: the ranks that train together, each with its own ``Run``; nothing of a run's state depends on them.
    """

    def __init__(self, settings, data, backend, world=ALONE):
        self.settings, self.data, self.backend, self.world = settings, data, backend, world
        self.train, optimizer = Training(**settings["train"]), settings["optimizer"]
        shared, climbing = asdict(LearningRate()).keys(), [p.name for p in SAM.page.settings]
        self.rate = LearningRate(**{name: optimizer[name] for name in shared})
        rng = np.random.default_rng([self.train.seed, WEIGHTS])
        self.method = build_method(settings, data, rng, partial(stored_encoder, world=world)).to(backend)
        self.sharding = BatchSharding(self.method, self.train.batch_size, world, self.train.loss_groups)
        self.sharding.part_dropout(self.method)
        if self.train.grad_cache:
            _require_chunks(self.method)
        self.batches = _batches(self.train, data.train)
        self.inputs = self.method.load(data.train, backend)
        self.labels = data.train.labels
        name = optimizer["name"].removeprefix(CLIMBING)
        own = {n: v for n, v in optimizer.items() if n not in ("name", *shared, *climbing)}
        self.optimizer = find("optimiser", name).thing(self.method.trained_parameters(), self.rate.lr, **own)
        if name != optimizer["name"]:
            self.optimizer = SAM(self.optimizer, **{name: optimizer[name] for name in climbing})
        self.rng = np.random.default_rng([self.train.seed, VIEWS])
        # Where the host waits for a device anyway. A second pass of SAM goes back in the generator's numbers.
        self.draws_ahead = (
            backend.reading_waits and not self.method.sample_asks_network and not isinstance(self.optimizer, SAM)
        )
        self.epoch = self.step = 0
        self.origin = ""  # where the first weights came from, if not from the seed

    @property
    def total_steps(self):
        return self.train.epochs * self.batches.per_epoch

    @property
    def finished(self):
        return self.epoch >= self.train.epochs

    def train_epoch(self):
        """One pass over the data. Returns a record of plain numbers: means of the terms, norms, collapse indicators.

        Raises:
            Diverged: the loss or the gradient norm is NaN or infinite; parameters are those before that step.
        """
        started = time.perf_counter()
        self.method.train()
        sums, norms, embeddings = {}, [], None
        with single_threaded_products:  # the step's own threads have the cores
            for terms, norm, rows in self.steps():
                embeddings = rows
                norms.append(norm)
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value
        self.epoch += 1
        embeddings = self.sharding.all_rows(embeddings)
        return {
            "epoch": self.epoch,
            "step": self.step,
            **{name: total / len(norms) for name, total in sums.items()},
            "gradient_norm": float(np.mean(norms)),
            "learning_rate": self.rate.at(self.step - 1, self.total_steps),
            "std": float(dimension_std(embeddings)),
            "effective_rank": float(effective_rank(embeddings)),
            "seconds": time.perf_counter() - started,
        }

    def steps(self):
        """The steps of an epoch, one after the other: what ``training_step`` gives of each."""
        for batch, drawn in self._drawn_batches():
            yield self._step(batch, drawn)

    def train_step(self, index):
        """One step on the rows of a batch, whose numbers are given: see ``training_step``."""
        return self._step(self._batch(index))

    def _batch(self, index):
        rows = self.sharding.own(index)
        index = self.backend.asarray(rows)
        inputs = (array[rows if backend_of(array) is CPU else index] for array in self.inputs)
        return Batch(tuple(inputs), None if self.labels is None else self.labels[rows], index)

    def _draw(self, batch):
        return self.method.sample(*batch.inputs, self.sharding.draws(self.rng))

    def _drawn_batches(self):
        """(batch, its views or None) of every step of an epoch.

        ``draws_ahead``: a thread draws the views of the next step while one is under way. They are the same, for a step
        takes no other numbers from their generator, and an epoch draws for no later one.
        """
        batches = map(self._batch, self.batches.epoch_batches(self.epoch))
        if not self.draws_ahead:
            yield from ((batch, None) for batch in batches)
            return
        with ThreadPoolExecutor(1, initializer=self.backend.use) as thread:
            drawings = ((batch, thread.submit(self._draw, batch)) for batch in batches)
            for (batch, drawing), _ in pairwise(chain(drawings, [None])):  # the next one is begun before this is given
                yield batch, drawing.result()

    def _step(self, batch, drawn=None):
        result = training_step(
            self.method,
            self.optimizer,
            batch,
            self.rng,
            self.sharding,
            number=self.step,
            of=self.total_steps,
            lr=self.rate.at(self.step, self.total_steps),
            clip_norm=self.rate.clip_norm,
            chunk=self.train.grad_cache,
            drawn=drawn,
        )
        self.step += 1
        return result

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
        self.sharding.part_dropout(self.method)

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
        arrays, meta = self.world.from_first(checkpoint.load(folder / CHECKPOINT) if self.world.is_first else None)
        return arrays_of_older_run(arrays), meta


def _batches(train, part):
    """Which rows make up each batch, by ``train.batches``."""
    kind, size, seed = train.batches, train.batch_size, train.seed
    if size > len(part):
        raise ValueError(
            f"setting train.batch_size: got {size}, expected at most the {len(part)} training rows of {part.name}, "
            f"such as --batch-size {len(part)}"
        )
    if kind == "shuffled":
        return Batches(len(part), size, seed)
    if kind == "tasks":
        return TaskBatches(_tasks_of(part), size, seed)
    if part.labels is None:
        raise ValueError(f"setting train.batches: {kind} batches need labels, and the data has none")
    if kind == "bound":
        return BoundBatches(part.labels, size, seed)
    samples, classes = train.samples_per_class, len(np.unique(part.labels))
    if size % samples or not 2 <= size // samples <= classes:
        raise ValueError(
            f"setting train.batch_size: got {size}, expected samples_per_class={samples} times 2 to {classes} classes "
            "for balanced batches"
        )
    return BalancedBatches(part.labels, size // samples, samples, seed)


def _tasks_of(part):
    """(N,) 1 for pairs with a graded similarity, 0 for those without."""
    similarity = getattr(part, "similarity", None)
    if similarity is None:
        raise ValueError(
            f"setting train.batches: tasks: {part.name} has no graded similarities, expected pairs with and without, "
            "such as --data glosses --set data.kind=tasks"
        )
    return np.isfinite(similarity).astype(np.int64)


def _require_chunks(method):
    """Refuse gradient caching where it would not give the full batch's gradient."""
    norms = [path for path, module in method.named_modules().items() if isinstance(module, BatchNorm)]
    if norms:
        raise ValueError(
            f"train.grad_cache: {norms[0]} is a batch norm, whose statistics in a chunk are not those of the batch; "
            "expected 0, or networks without (--encoder vit, or encoder.norm=layer, and heads.batch_norm=false)"
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
