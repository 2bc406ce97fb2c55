"""Learn to turn noise into images, and draw some."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of
from mini_repr.losses.reconstruction.flow_matching import flow_matching
from mini_repr.methods.method import Method, Step
from mini_repr.nn import Denoiser, Embedding, copy_of, patchify, unpatchify
from mini_repr.pages.arguments import Choice, Flag, Fraction, FractionBelowOne
from mini_repr.pages.declare import part


@part("method", "flow", paper=("036", "003"))
class Flow(Method):
    """Flow matching: a denoiser learns, at every mixture of image and noise, the way from one to the other.

    With x the image on the scale of 2 x - 1 and n normal noise it sees x_t = (1 - t) x + t n and t, and its loss is
    ``flow_matching`` (Fuest et al. 2024, arXiv 2407.00783, section 2). Images are drawn from noise at t = 1 by steps
    of Euler's method down to t = 0, with the moving average of the weights. Where there are labels and ``conditional``,
    a row for each class tells the denoiser which; in a share ``unlabelled`` of the images a row of its own stands for
    all classes, so that guidance can exceed what the label alone says (Ho, Salimans 2022, arXiv 2207.12598).

    A regulariser of embeddings acts on the tokens of the denoiser's block ``feature_layer``, an image's as one row:
    ``--add dispersive=0.5`` is Wang, He 2025, arXiv 2506.09027.

    Args:
        times: "uniform", or "logit_normal": 1 / (1 + e^-z), z ~ N(0, 1), more often in the middle (Esser et al. 2024,
            arXiv 2403.03206). momentum: of the average, at most; (1 + s) / (10 + s) at step s where that is less.
    """

    compares = ("reconstruction",)
    default_encoder, default_loss, default_views = "denoiser", "flow_matching", ""

    def __init__(
        self,
        parts,
        *,
        times: Choice("logit_normal", "uniform") = "logit_normal",
        conditional: Flag = True,
        unlabelled: Fraction = 0.1,
        momentum: FractionBelowOne = 0.995,
    ):
        super().__init__(parts)
        if not isinstance(self.encoder, Denoiser):
            raise ValueError(f"method flow: got encoder {self.encoder.page.name}, expected --encoder denoiser")
        self.times, self.unlabelled, self.momentum = times, unlabelled, momentum
        self.classes = parts.data.train.label_names if conditional else ()
        # The last row stands for no class in particular.
        self.conditions = Embedding(len(self.classes) + 1, self.encoder.width, parts.rng)
        self.teacher_encoder, self.teacher_conditions = copy_of(self.encoder), copy_of(self.conditions)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["prediction", "clean", "noise"]

    def load(self, part, backend):
        labels = part.labels if self.classes else np.zeros(len(part), dtype=np.int64)
        return backend.asarray(part.images), labels

    def sample(self, images, labels, rng):
        images = 2 * self.views(images, rng) - 1
        noise = backend_of(images).asarray(rng.standard_normal(images.shape, dtype=np.float32), dtype=images.dtype)
        times = rng.random(len(images))
        if self.times == "logit_normal":
            times = middling_times(rng, len(images))
        hidden = rng.random(len(images)) < self.unlabelled
        return images, noise, times, np.where(hidden, len(self.classes), labels)

    def embed(self, images, noise, times, classes):
        noised = mixed(images, noise, times)
        layers = (self.encoder.feature_layer,)
        denoised = self.encoder.denoise(noised, times, self.conditions(classes), layers)
        return denoised.patches, denoised.layers[0].reshape(len(images), -1)

    def targets(self, images, noise, times, classes):
        return tuple(patchify(x, self.encoder.patch) for x in (images, noise))

    def compare(self, rows, targets, batch, objective):
        prediction, tokens = rows
        return Step(objective(prediction, *targets, embeddings=(tokens,)), tokens.data)

    def after_step(self, step, total_steps):
        self.move_teachers(min(self.momentum, (1 + step) / (10 + step)))

    def velocity(self, noised, time, classes, guidance=1.0):
        """dx/dt at images (B, C, H, W) of one time, by the averaged weights, no gradient.

        Args:
            classes: (B,) host integers, ``len(self.classes)`` for none in particular. guidance: w in v_none + w (v -
                v_none); 1 follows the classes alone.
        """
        none = np.full_like(classes, len(self.classes))
        with no_grad():
            return guided(lambda told: self._velocity(noised, time, told), classes, none, guidance)

    def _velocity(self, noised, time, classes):
        encoder = self.teacher_encoder
        denoised = encoder.denoise(noised, np.full(len(noised), time), self.teacher_conditions(classes))
        output = unpatchify(denoised.patches.data, encoder.patch, encoder.image_shape)
        predicts = self.objective.settings["predicts"]
        if predicts == "clean":
            return (noised - output) / time
        if predicts == "noise":
            # x_t = (1 - t) x + t n: at t = 1 nothing is known of x, and the step before it stands in.
            return (output - noised) / max(1 - time, 1e-2)
        return -output if predicts == "towards_data" else output

    def draw(self, noise, classes=None, *, steps=25, guidance=1.0, before_step=None):
        """Images (B, C, H, W) in [0, 1] from noise of that shape, by ``steps`` steps of Euler's method.

        Args:
            noise: array on the method's device. classes: (B,) host integers, or None for no class in particular.
            before_step: called with (number of the step, t, x) before each, its result takes the place of x.
        """
        classes = np.full(len(noise), len(self.classes)) if classes is None else classes
        return denoised_from(noise, lambda x, t: self.velocity(x, t, classes, guidance), steps, before_step)


def middling_times(rng, count):
    """(count,) times 1 / (1 + e^-z), z ~ N(0, 1): more often in the middle (Esser et al. 2024, arXiv 2403.03206)."""
    return 1 / (1 + np.exp(-rng.standard_normal(count)))


def denoising_loss(denoiser, clean, noise, times, text, mask=None):
    """(``flow_matching`` of what a denoiser of captions says of images mixed with noise, its ``Denoised``).

    Args:
        clean, noise: (B, C, H, W) host arrays, the images on the scale of 2 x - 1. times: (B,). text: as ``denoise``
            takes it. mask: (B, C, H, W) host array, see ``flow_matching``, or None.
    """
    asarray = backend_of(denoiser.embed.weight.data).asarray
    denoised = denoiser.denoise(asarray(mixed(clean, noise, times)), times, text=text)
    x, n, m = (None if y is None else asarray(patchify(y, denoiser.patch)) for y in (clean, noise, mask))
    return flow_matching(denoised.patches, x, n, m), denoised


def mixed(images, noise, times):
    """x_t = (1 - t) x + t n, the times (B,) on the host."""
    share = backend_of(images).asarray(times.astype(images.dtype))[:, None, None, None]
    return (1 - share) * images + share * noise


def guided(says, told, untold, guidance):
    """v_none + guidance (v - v_none) of velocities ``says(told)`` and ``says(untold)``, which 1 does not ask for.

    Source: Ho, Salimans 2022, arXiv 2207.12598, eq. 6, with the weight 1 + w.
    """
    v = says(told)
    if guidance == 1.0:
        return v
    free = says(untold)
    return free + guidance * (v - free)


def denoised_from(noise, velocity, steps, before_step=None, start=1.0):
    """Images in [0, 1] from noise (B, C, H, W): where ``by_steps`` leads, cut to that range."""
    x = by_steps(noise, velocity, steps, before_step, start)
    return backend_of(x).xp.clip((x + 1) / 2, 0, 1)


def by_steps(noise, velocity, steps, before_step=None, start=1.0):
    """Euler's method along ``velocity(x, t)`` to t = 0, on arrays or tensors.

    Args:
        before_step: see ``Flow.draw``. start: t of ``noise``, which below 1 is partly image.
    """
    x = noise
    for k in range(steps):
        t = start * (1 - k / steps)
        if before_step:
            x = before_step(k, t, x)
        x = x - start * velocity(x, t) / steps
    return x


def of_length_one(images):
    """Arrays (B, C, H, W), such as gradients, each divided by its length; one of zeros stays."""
    xp = backend_of(images).xp
    length = xp.sqrt((images * images).sum(axis=(1, 2, 3), keepdims=True))
    return images / xp.where(length > 0, length, 1)


def velocity(denoiser, x, t, text, prune=None):
    """dx/dt at images x (B, C, H, W), a tensor or an array, at one time, given what ``read`` made of their captions.

    prune: see ``Denoiser.denoise``.
    """
    patches = denoiser.denoise(x, np.full(len(x), t), text=text, prune=prune).patches
    return unpatchify(patches, denoiser.patch, denoiser.image_shape)
