"""The sections of settings that belong to the training itself: ``train.*``, and of ``optimizer.*`` what all share."""

from dataclasses import dataclass

from mini_repr.optim import constant, cosine_with_warmup
from mini_repr.pages.arguments import Choice, Count, NonNegative
from mini_repr.pages.section import Section

SCHEDULES = {"cosine": cosine_with_warmup, "constant": constant}
# An optimiser named "sam:adamw" takes AdamW's step with the gradient that sharpness-aware minimisation finds.
CLIMBING = "sam:"


@dataclass(frozen=True)
class Training(Section, name="train"):
    """How long a run trains, and on which batches.

    grad_cache: rows to encode at once, 0 for the batch. loss_groups: equal parts of a batch, each with its own loss.
    batches: shuffled, balanced (samples_per_class rows of each class in it), bound (some rows are in all) or tasks (of
    pairs with and without a graded similarity, one kind in each). knn_every: epochs between two looks at the accuracy
    of 20 nearest neighbours on test rows, which only the log gets; 0 for none. sample_every: epochs between two
    pictures of what a run of flow matching draws, samples-EPOCH.png in its folder; 0 for none.
    """

    epochs: Count() = 100
    batch_size: Count(least=2) = 128
    seed: Count(least=0) = 0
    grad_cache: Count(least=0) = 0
    loss_groups: Count() = 1
    batches: Choice("shuffled", "balanced", "bound", "tasks") = "shuffled"
    samples_per_class: Count(least=2) = 4
    knn_every: Count(least=0) = 0
    sample_every: Count(least=0) = 0


@dataclass(frozen=True)
class LearningRate(Section, name="optimizer"):
    """How large the steps are.

    lr: the peak. warmup_steps: a quarter of all at most. clip_norm: of gradients, the largest; 0 for any.
    """

    lr: NonNegative = 3e-3
    schedule: Choice(*SCHEDULES) = "cosine"
    warmup_steps: Count(least=0) = 50
    clip_norm: NonNegative = 0.0

    def at(self, step, total_steps):
        """The learning rate of a step, counted from 0."""
        warmup = min(self.warmup_steps, total_steps // 4)
        return SCHEDULES[self.schedule](step, total_steps, warmup, self.lr)
