"""An autoencoder whose decoder draws what it cannot know."""

import math

import numpy as np

from mini_repr.autograd import no_grad, stop_gradient
from mini_repr.backend import backend_of
from mini_repr.methods.flow import denoised_from, mixed
from mini_repr.methods.method import Method, Step
from mini_repr.nn import MLP, Denoiser, Linear, patchify, unpatchify
from mini_repr.pages.arguments import Count, Flag, NonNegative
from mini_repr.pages.declare import part

STEPS = 20  # of drawing, for pictures


@part("method", "swycc", paper="047")
class Swycc(Method):
    """Sample what you can't compress: a short code, a first image from it, and a denoiser that refines it, as one.

    Birodkar et al. 2024, arXiv 2409.02529: z = E(x); a decoder makes a first image of z; a denoiser that sees z and the
    first image beside the noised one learns the way from noise to x (``flow_matching``). All three are trained at once:
    the denoiser's error reaches the encoder through z and through the first image. The total is

        flow_matching + initial_weight * mean (first - x)²,    pixels on the scale of 2 x - 1

    What a mean squared error blurs, the denoiser draws, another for every noise. The paper's perceptual term of the
    first image is left out; its weights are not published.

    Args:
        latents: length of z. initial_weight: of the first image's error. hidden: width of the two layers that make the
            first image. decoder_*: of the denoiser.
        joint: whether the denoiser's error reaches what is before it; otherwise there is an autoencoder of squared
            error, and a denoiser on top of it.
    """

    compares = ("reconstruction",)
    default_encoder, default_loss, default_views = "mlp", "flow_matching", ""

    def __init__(
        self,
        parts,
        *,
        latents: Count() = 3,
        initial_weight: NonNegative = 1.0,
        joint: Flag = True,
        hidden: Count() = 256,
        decoder_patch: Count(choose="chosen by choose_patch") = None,
        decoder_width: Count() = 96,
        decoder_depth: Count() = 3,
        decoder_heads: Count() = 4,
    ):
        super().__init__(parts)
        if self.objective.settings["predicts"] != "velocity":
            raise ValueError("method swycc: got another goal than the velocity, expected --set loss.predicts=velocity")
        self.image_shape = parts.data.train.images.shape[1:]
        self.initial_weight, self.joint = initial_weight, joint
        rng = parts.rng
        self.code = Linear(self.encoder.width, latents, rng)
        self.decoder = MLP((latents, hidden, hidden, math.prod(self.image_shape)), rng)
        sizes = {"patch": decoder_patch, "width": decoder_width, "depth": decoder_depth, "heads": decoder_heads}
        self.denoiser = Denoiser(self.image_shape, rng, **sizes)
        self.tell = Linear(latents, decoder_width, rng)
        self.show = Linear(self.denoiser.patch**2 * self.image_shape[0], decoder_width, rng)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and loss.required == ["prediction", "clean", "noise"]

    def sample(self, images, rng):
        images = self.views(images, rng)
        noise = backend_of(images).asarray(rng.standard_normal(images.shape, dtype=np.float32), dtype=images.dtype)
        return images, noise, rng.random(len(images))

    def encoded(self, images):
        """(z (B, latents), the first image (B, C, H, W) on the scale of 2 x - 1)."""
        z = self.code(self.encoder(images).pooled)
        return z, self.decoder(z).reshape(len(images), *self.image_shape)

    def embed(self, images, noise, times):
        z, first = self.encoded(images)
        noised = mixed(2 * images - 1, noise, times)
        told = (z, first) if self.joint else (stop_gradient(z), stop_gradient(first))
        return self._velocity(noised, times, *told), first, z

    def _velocity(self, noised, times, z, first):
        shown = self.show(patchify(first, self.denoiser.patch))
        return self.denoiser.denoise(noised, times, self.tell(z), beside=shown).patches

    def targets(self, images, noise, times):
        patch = self.denoiser.patch
        return patchify(2 * images - 1, patch), patchify(noise, patch), 2 * images - 1

    def compare(self, rows, targets, batch, objective):
        velocity, first, z = rows
        clean, noise, images = targets
        refined = objective(velocity, clean, noise, embeddings=(z,))
        off = ((first - images) ** 2).mean()
        total = refined + self.initial_weight * off
        total.terms = {**refined.terms, "first image": off.data}
        return Step(total, z.data)

    def decode(self, z, first, noise, steps=STEPS):
        """Images (B, C, H, W) in [0, 1] drawn from noise of that shape, given arrays z and first image.

        The same noise gives the same image; the mean over noises is again the blurred one.
        """

        def velocity(x, t):
            with no_grad():
                patches = self._velocity(x, np.full(len(x), t), z, first).data
            return unpatchify(patches, self.denoiser.patch, self.image_shape)

        return denoised_from(noise, velocity, steps)

    def rebuilt(self, images, rng):
        """{"first", "rebuilt"}: images (B, C, H, W) as decoded at once, and as drawn with the noise of ``rng``."""
        backend = backend_of(images)
        z, first = (x.data for x in self.encoded(images))
        noise = backend.asarray(rng.standard_normal(images.shape, dtype=np.float32))
        drawn = self.decode(z, first, noise)
        return {"first": backend.xp.clip((first + 1) / 2, 0, 1), "rebuilt": drawn}
