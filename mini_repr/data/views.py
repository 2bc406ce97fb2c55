"""Augmentations: random views of a batch of small images, vectorised, the same on every device.

A view is a setting (a frozen dataclass of strengths) that is called as ``view(images, rng)``: images (B, C, H, W) float
on any backend in, the same shape and dtype out, the input untouched. A clip (B, T, C, H, W) is seen by one view: what
is drawn for an image is drawn once for all frames (noise, drawn per pixel, is not). Everything random is drawn on the
host from ``rng`` (a ``numpy.random.Generator``) and moved, so one seed gives one batch on all devices. Pixel values are
in [0, 1]; no view leaves that range.

Geometric views only state, for each image, where an output pixel comes from. ``Compose`` multiplies the maps of
neighbouring geometric views and samples once: one blur and one pass instead of several. ``rotate`` after ``shift`` in
one ``Compose`` therefore keeps what two separate calls would have pushed out of the picture and lost.

As text, for configs and the command line: ``"shift=1,rotate=15:edge,noise=0.05"``, a view's parameters in the order of
its fields, joined by colons, defaults where left out. ``parse_views(views.describe())`` gives the same views again.
"""

import difflib
import math
from dataclasses import astuple, dataclass, fields

import numpy as np

from mini_repr.backend import backend_of, is_array
from mini_repr.fused import elementwise

PADDINGS = ("zero", "edge")
# ITU-R BT.601: what a grey photograph would show of red, green and blue.
LUMA = np.array([0.299, 0.587, 0.114])


def default_views(images):
    """The augmentations of images (N, C, H, W) or clips (N, T, C, H, W) unless told otherwise, as text."""
    return COLOUR_VIEWS if images.shape[-3] == 3 else DEFAULT_VIEWS


def resample(images, maps, padding="zero"):
    """Each image seen through its affine map, by bilinear interpolation.

    Args:
        images: (B, C, H, W) float.
        maps: (B, 3, 3) host array, the *inverse* map in pixels: the output pixel at (row, column, 1), measured from the
            image's centre, takes its value from the input at ``maps[b] @ (row, column, 1)``.
        padding: what lies outside: ``"edge"`` (the nearest border pixel), else black (fades over one pixel).
    Returns:
        array like ``images``. Values stay within the range of the input and 0; whole-pixel maps copy exactly.
    """
    backend = backend_of(images)
    out = backend.xp.empty_like(images)
    # The dtype of the images: a float64 coordinate would turn every temporary into float64.
    maps = backend.asarray(np.asarray(maps)[:, :2].astype(images.dtype))

    def kernel(images, maps, out):
        sample_into(backend, images, maps, padding == "edge", *images.shape[1:], out)

    backend.row_blocks(kernel, images, maps, out)
    return out


@elementwise(
    "raw T images, raw T maps, int64 edge, int64 channels, int64 height, int64 width",
    "T out",
    """
    const long long column = i % width, row = i / width % height, image = i / (channels * height * width);
    const T r = row - (T)(height - 1) / 2, c = column - (T)(width - 1) / 2;
    const auto source = [&](long long line, long long length) {
        const long long k = image * 6 + line * 3;
        const T place = maps[k] * r + (maps[k + 1] * c + (maps[k + 2] + ((T)(length - 1) / 2 + 1)));
        return fmin(fmax(place, (T)0), (T)(length + 1));
    };
    const auto pixel = [&](long long y, long long x) {  // of the bordered image
        const bool outside = y < 1 || y > height || x < 1 || x > width;
        if (outside && !edge) return (T)0;
        y = y < 1 ? 0 : y > height ? height - 1 : y - 1;
        x = x < 1 ? 0 : x > width ? width - 1 : x - 1;
        return (T)images[(i / (height * width) * height + y) * width + x];
    };
    const T y = source(0, height), x = source(1, width);
    const long long above = y < height ? (long long)y : height, left = x < width ? (long long)x : width;
    const T down = y - above, right = x - left;
    const T near = pixel(above, left), under = pixel(above + 1, left);
    const T top = near + right * (pixel(above, left + 1) - near);
    out = top + down * (under + right * (pixel(above + 1, left + 1) - under) - top);
    """,
)
def sample_into(backend, images, maps, edge, channels, height, width, out):
    """Fill ``out`` with the images (B, C, H, W) seen through maps (B, 2, 3), as ``resample`` says."""
    xp, count = backend.xp, len(images)
    # One border pixel on each side holds what lies outside, so that the four neighbours need no test.
    bordered = xp.zeros((count, channels, height + 2, width + 2), dtype=images.dtype)
    bordered[:, :, 1:-1, 1:-1] = images
    if edge:
        bordered[:, :, 0], bordered[:, :, -1] = bordered[:, :, 1], bordered[:, :, -2]
        bordered[:, :, :, 0], bordered[:, :, :, -1] = bordered[:, :, :, 1], bordered[:, :, :, -2]
    row, row_part = _source(xp, maps[:, 0], height, width, height)
    column, column_part = _source(xp, maps[:, 1], height, width, width)
    corner = row
    corner *= width + 2
    corner += column
    corner += (xp.arange(count) * (channels * (height + 2) * (width + 2)))[:, None, None]
    flat = bordered.reshape(-1)
    for channel in range(channels):
        # a + part * (b - a), never (1 - part) * a + part * b: an even surface stays even to the last bit.
        top, bottom = (_between(xp, flat, corner + step, column_part) for step in (0, width + 2))
        bottom -= top
        bottom *= row_part
        bottom += top
        out[:, channel] = bottom
        corner += (height + 2) * (width + 2)


def _between(xp, flat, left, part):
    near = xp.take(flat, left)
    left += 1
    far = xp.take(flat, left)
    far -= near
    far *= part
    far += near
    return far


def _source(xp, line, height, width, length):
    """Where each output pixel comes from along one axis: the bordered pixel before, and how far past it (B, H, W)."""
    dtype = line.dtype
    rows = xp.arange(height, dtype=dtype) - (height - 1) / 2
    columns = xp.arange(width, dtype=dtype) - (width - 1) / 2
    # Counted in the bordered image, whose first pixel is one before the input's.
    along_columns = line[:, 1:2] * columns + (line[:, 2:3] + ((length - 1) / 2 + 1))
    place = (line[:, 0:1] * rows)[:, :, None] + along_columns[:, None, :]
    xp.clip(place, 0, length + 1, out=place)
    before = place.astype(np.int64)  # rounds towards zero, which is down here
    xp.minimum(before, length, out=before)
    place -= before
    return before, place


@dataclass(frozen=True)
class View:
    """Base of all views. Fields are the parameters; ``__post_init__`` checks them."""

    mixes_channels = False  # those that do know no place, and see the frames of a clip as one tall image

    def __call__(self, images, rng):
        """A random view of every image.

        Args:
            images: (B, C, H, W), or clips (B, T, C, H, W), float, values in [0, 1].
            rng: host ``numpy.random.Generator``.
        Raises:
            ValueError: another shape or dtype, or no channels of the kind that the view needs.
        """
        _check_images(images)
        if images.ndim == 4:
            return self._apply(images, rng)
        batch, frames, channels, height, width = images.shape
        if not self.mixes_channels:  # frames become channels
            return self._apply(images.reshape(batch, -1, height, width), rng).reshape(images.shape)
        tall = images.swapaxes(1, 2).reshape(batch, channels, -1, width)
        return self._apply(tall, rng).reshape(batch, channels, frames, height, width).swapaxes(1, 2)

    def _apply(self, images, rng):
        """As the call, of checked images (B, C, H, W)."""
        raise NotImplementedError

    def describe(self):
        """The view with all its parameters, as ``parse_views`` reads it."""
        values = ":".join(value if isinstance(value, str) else _number(value) for value in astuple(self))
        return f"{_NAMES[type(self)]}={values}"


@dataclass(frozen=True)
class Geometric(View):
    """Base of the views that move pixels: they only give maps (see ``resample``)."""

    def maps(self, count, height, width, rng):
        """(count, 3, 3) float64 inverse maps."""
        raise NotImplementedError

    def _apply(self, images, rng):
        count, _, height, width = images.shape
        return resample(images, self.maps(count, height, width, rng), self.padding)


@dataclass(frozen=True)
class Shift(Geometric):
    """Move by up to ``pixels`` up or down and left or right, fractions included (uniform)."""

    pixels: float = 1.0
    padding: str = "zero"

    def __post_init__(self):
        _check_number(self, "pixels", 0, 10_000)
        _check_padding(self)

    def maps(self, count, height, width, rng):
        maps = _identity(count)
        maps[:, :2, 2] = rng.uniform(-self.pixels, self.pixels, (count, 2))
        return maps


@dataclass(frozen=True)
class Rotate(Geometric):
    """Turn about the centre by up to ``degrees`` either way (uniform)."""

    degrees: float = 15.0
    padding: str = "zero"

    def __post_init__(self):
        _check_number(self, "degrees", 0, 180)
        _check_padding(self)

    def maps(self, count, height, width, rng):
        angle = np.radians(rng.uniform(-self.degrees, self.degrees, count))
        return _linear(np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle))


@dataclass(frozen=True)
class Scale(Geometric):
    """Enlarge or shrink about the centre by up to a factor of 1 + ``strength`` (uniform in the logarithm)."""

    strength: float = 0.2
    padding: str = "zero"

    def __post_init__(self):
        _check_number(self, "strength", 0, 100)
        _check_padding(self)

    def maps(self, count, height, width, rng):
        limit = math.log1p(self.strength)
        factor = np.exp(rng.uniform(-limit, limit, count))
        return _linear(factor, 0.0, 0.0, factor)


@dataclass(frozen=True)
class Shear(Geometric):
    """Slant upright lines by up to ``degrees`` either way (uniform), as in italics; rows stay rows."""

    degrees: float = 10.0
    padding: str = "zero"

    def __post_init__(self):
        _check_number(self, "degrees", 0, 60)
        _check_padding(self)

    def maps(self, count, height, width, rng):
        slant = np.tan(np.radians(rng.uniform(-self.degrees, self.degrees, count)))
        return _linear(1.0, 0.0, slant, 1.0)


@dataclass(frozen=True)
class Crop(Geometric):
    """Cut out a random box and enlarge it to the whole image.

    The box covers a share of the image's area from ``area`` to 1 (uniform) and is up to ``aspect`` times as wide or as
    high as the image's own form (uniform in the logarithm), cut to fit. Source: Szegedy et al., 2015, section 6
    (area 0.08, aspect 4/3), as in SimCLR.
    """

    area: float = 0.5
    aspect: float = 4 / 3
    padding: str = "edge"  # a box enlarged by its pixels' areas reaches up to half a pixel past the outermost centres

    def __post_init__(self):
        _check_number(self, "area", 1e-3, 1)
        _check_number(self, "aspect", 1, 100)
        _check_padding(self)

    def maps(self, count, height, width, rng):
        area = rng.uniform(self.area, 1, count)
        form = np.exp(rng.uniform(-math.log(self.aspect), math.log(self.aspect), count) / 2)
        high = np.minimum(np.sqrt(area) / form, 1)
        wide = np.minimum(np.sqrt(area) * form, 1)
        maps = _linear(high, 0.0, 0.0, wide)
        # The box's centre: anywhere that leaves the box inside.
        place = rng.uniform(-0.5, 0.5, (count, 2))
        maps[:, 0, 2] = place[:, 0] * (1 - high) * height
        maps[:, 1, 2] = place[:, 1] * (1 - wide) * width
        return maps


@dataclass(frozen=True)
class Flip(Geometric):
    """Mirror left and right with ``probability``."""

    probability: float = 0.5
    padding = None  # nothing comes from outside: merges with a neighbour of either padding

    def __post_init__(self):
        _check_number(self, "probability", 0, 1)

    def maps(self, count, height, width, rng):
        flipped = rng.random(count) < self.probability
        return _linear(1.0, 0.0, 0.0, np.where(flipped, -1.0, 1.0))


@dataclass(frozen=True)
class Brightness(View):
    """Multiply each image by a factor from 1 - ``strength`` to 1 + ``strength`` (uniform), cut at 1."""

    strength: float = 0.3

    def __post_init__(self):
        _check_number(self, "strength", 0, 1)

    def _apply(self, images, rng):
        factor = _per_image(images, rng.uniform(1 - self.strength, 1 + self.strength, len(images)))
        return _clipped(images * factor)


@dataclass(frozen=True)
class Contrast(View):
    """Stretch each image about its mean by a factor from 1 - ``strength`` to 1 + ``strength``, cut to [0, 1]."""

    strength: float = 0.3

    def __post_init__(self):
        _check_number(self, "strength", 0, 1)

    def _apply(self, images, rng):
        factor = _per_image(images, rng.uniform(1 - self.strength, 1 + self.strength, len(images)))
        # Not mean + factor * (image - mean): at factor 1 every pixel stays what it was, to the last bit.
        out = images * factor
        out += images.mean(axis=(1, 2, 3), keepdims=True) * (1 - factor)
        return _clipped(out)


@dataclass(frozen=True)
class Cutout(View):
    """Blacken a square of ``size`` pixels a side at a random place; near the border part of it falls outside.

    Source: DeVries and Taylor, 2017.
    """

    size: int = 2

    def __post_init__(self):
        _check_number(self, "size", 0, 10_000)
        if self.size != int(self.size):
            raise ValueError(f"cutout: size is {self.size}, expected a whole number of pixels")

    def _apply(self, images, rng):
        backend = backend_of(images)
        inside = []
        for length in images.shape[2:]:
            start = rng.integers(length, size=(len(images), 1)) - int(self.size) // 2
            places = np.arange(length)
            inside.append((places >= start) & (places < start + int(self.size)))
        rows, columns = (backend.asarray(part) for part in inside)
        return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


@dataclass(frozen=True)
class Noise(View):
    """Add normal noise of standard ``deviation`` to every value, cut to [0, 1]."""

    deviation: float = 0.05

    def __post_init__(self):
        _check_number(self, "deviation", 0, 10)

    def _apply(self, images, rng):
        # Always drawn in float32, so that float32 and float64 images see the same noise.
        noise = rng.standard_normal(images.shape, dtype=np.float32)
        noise *= np.float32(self.deviation)
        return _clipped(images + backend_of(images).asarray(noise, dtype=images.dtype))


@dataclass(frozen=True)
class Grey(View):
    """Turn a colour image grey (ITU-R BT.601 luma in all three channels) with ``probability``."""

    probability: float = 0.2
    mixes_channels = True

    def __post_init__(self):
        _check_number(self, "probability", 0, 1)

    def _apply(self, images, rng):
        _check_colour(self, images)
        chosen = rng.random(len(images)) < self.probability
        return _mix_channels(images, np.where(chosen[:, None, None], LUMA, np.eye(3)))


@dataclass(frozen=True)
class Jitter(View):
    """Colour jitter: change brightness, contrast, saturation and hue of an image with ``probability``, cut to [0, 1].

    Factors are uniform from 1 - strength to 1 + strength. Hue turns colours about the grey axis by up to ``hue`` of a
    full turn either way. The four follow each other in this order without a cut between, so they are one 3x3 matrix and
    one offset an image. Source: SimCLR (Chen et al., 2020, appendix A), by default at its strength 0.5 for CIFAR-10;
    torchvision differs in drawing the order, cutting after each step and turning hue in HSV.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    probability: float = 0.8
    mixes_channels = True

    def __post_init__(self):
        for name in ("brightness", "contrast", "saturation", "probability"):
            _check_number(self, name, 0, 1)
        _check_number(self, "hue", 0, 0.5)

    def _apply(self, images, rng):
        _check_colour(self, images)
        count = len(images)
        chosen = rng.random(count) < self.probability
        brightness, contrast, saturation = (
            np.where(chosen, rng.uniform(1 - strength, 1 + strength, count), 1.0)[:, None, None]
            for strength in (self.brightness, self.contrast, self.saturation)
        )
        hue = np.where(chosen, rng.uniform(-self.hue, self.hue, count), 0.0)
        colour = _turn_hue(hue) @ (saturation * np.eye(3) + (1 - saturation) * LUMA)
        # Contrast moves every pixel towards the mean luma, which is grey and which neither later step changes.
        backend = backend_of(images)
        luma = backend.asarray((brightness * (1 - contrast) * LUMA)[:, 0].astype(images.dtype))
        offset = (images.mean(axis=(2, 3)) * luma).sum(axis=1)[:, None, None, None]
        return _mix_channels(images, brightness * contrast * colour, offset)


@dataclass(frozen=True)
class Compose:
    """Views one after another; neighbouring geometric ones (of one padding) become one map and are sampled once."""

    views: tuple[View, ...]

    def __call__(self, images, rng):
        """As a single view; without any view the images come back as they are."""
        _check_images(images)
        count, *_, height, width = images.shape
        for run in self._runs():
            if not isinstance(run[0], Geometric):
                images = run[0](images, rng)
                continue
            maps = run[0].maps(count, height, width, rng)
            for view in run[1:]:
                maps = maps @ view.maps(count, height, width, rng)
            flat = images.reshape(count, -1, height, width)  # of clips: all frames by one map
            images = resample(flat, maps, _padding(run)).reshape(images.shape)
        return images

    def _runs(self):
        """The views in order, as lists: neighbouring geometric views that can share one map, or a single other view."""
        runs = []
        for view in self.views:
            geometric = bool(runs) and all(isinstance(one, Geometric) for one in (view, runs[-1][-1]))
            if geometric and len({view.padding, _padding(runs[-1])} - {None}) < 2:
                runs[-1].append(view)
            else:
                runs.append([view])
        return runs

    def describe(self):
        """All views with all their parameters, as ``parse_views`` reads them: what a run's config stores."""
        return ",".join(view.describe() for view in self.views)


def _padding(run):
    """The padding that a run of geometric views agrees on; None where all of them are content with any."""
    return next((view.padding for view in run if view.padding is not None), None)


VIEWS = {
    "shift": Shift,
    "rotate": Rotate,
    "scale": Scale,
    "shear": Shear,
    "crop": Crop,
    "flip": Flip,
    "brightness": Brightness,
    "contrast": Contrast,
    "cutout": Cutout,
    "noise": Noise,
    "grey": Grey,
    "jitter": Jitter,
}
_NAMES = {view: name for name, view in VIEWS.items()}

# Small grey images such as the digits: no flip (a mirrored digit is none) and no crop (8 pixels are few).
DEFAULT_VIEWS = "shift=0.7,rotate=15,scale=0.15,shear=10,brightness=0.3,noise=0.15"
# Small colour images: SimCLR's recipe for CIFAR-10 (appendix B.9: no blur), with a milder crop than its 0.08.
COLOUR_VIEWS = "crop=0.25,flip,jitter,grey"


def parse_views(text):
    """The Compose that ``text`` describes, such as ``"shift=1,rotate=15:edge,flip"``; "" or "none" is no view at all.

    Raises:
        ValueError: an unknown name (with the nearest known one), a value that is no number, too many values, a value
            out of range.
    """
    if not isinstance(text, str):
        raise ValueError(f"views: got {text!r}, expected text such as shift=1,rotate=15")
    if text.strip() in ("", "none"):
        return Compose(())
    return Compose(tuple(_parse_view(part.strip()) for part in text.split(",")))


def _parse_view(part):
    name, equals, values = (piece.strip() for piece in part.partition("="))
    if name not in VIEWS:
        near = difflib.get_close_matches(name, VIEWS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"views: unknown view {name!r}; {hint}known: {', '.join(VIEWS)}")
    parameters = fields(VIEWS[name])
    values = values.split(":") if equals else []
    if len(values) > len(parameters):
        wanted = ":".join(field.name for field in parameters)
        raise ValueError(f"{name}: {len(values)} values in {part!r}, expected at most {len(parameters)} ({wanted})")
    arguments = []
    for field, value in zip(parameters, values, strict=False):
        try:
            arguments.append(value.strip() if field.type is str else float(value))
        except ValueError:
            raise ValueError(f"{name}: {field.name} is {value!r}, expected a number") from None
    return VIEWS[name](*arguments)


def _number(value):
    """The shortest text that reads back as the same number."""
    return repr(float(value)).removesuffix(".0")


def _identity(count):
    return np.tile(np.eye(3), (count, 1, 1))


def _linear(row_row, row_column, column_row, column_column):
    """(B, 3, 3) maps without a shift from their four entries, each a number or (B,)."""
    entries = np.broadcast_arrays(row_row, row_column, column_row, column_column)
    maps = _identity(max(entry.size for entry in entries))
    maps[:, 0, 0], maps[:, 0, 1], maps[:, 1, 0], maps[:, 1, 1] = entries
    return maps


def _per_image(images, values):
    """Host values (B,) on the images' device and in their dtype, (B, 1, 1, 1)."""
    return backend_of(images).asarray(values.astype(images.dtype))[:, None, None, None]


def _clipped(images):
    """A view's own new array, cut to [0, 1] in place."""
    return backend_of(images).xp.clip(images, 0, 1, out=images)


def _mix_channels(images, matrices, offset=0):
    """``matrices`` (B, 3, 3) times the colour of every pixel, plus ``offset``, cut to [0, 1]."""
    backend = backend_of(images)
    matrices = backend.asarray(matrices.astype(images.dtype))
    mixed = (matrices @ images.reshape(*images.shape[:2], -1)).reshape(images.shape)
    mixed += offset
    return _clipped(mixed)


def _turn_hue(turns):
    """(B, 3, 3): rotation of colours about the grey axis by ``turns`` (B,); greys and the sum of channels stay."""
    angle = 2 * np.pi * turns[:, None, None]
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return np.cos(angle) * np.eye(3) + (1 - np.cos(angle)) / 3 + np.sin(angle) * cross


def _check_images(images):
    if not is_array(images) or images.ndim not in (4, 5) or images.dtype.kind != "f" or 0 in images.shape:
        came = f"{images.dtype} of shape {images.shape}" if is_array(images) else type(images).__name__
        raise ValueError(
            f"views: got {came}, expected floating-point images (B, C, H, W) or clips (B, T, C, H, W), none of them "
            "empty"
        )


def _check_colour(view, images):
    if images.shape[1] != 3:
        raise ValueError(f"{_NAMES[type(view)]}: images of shape {images.shape}, expected 3 channels (B, 3, H, W)")


def _check_number(view, name, low, high):
    value = getattr(view, name)
    if not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{_NAMES[type(view)]}: {name} is {value!r}, expected a number from {low:g} to {high:g}")


def _check_padding(view):
    if view.padding not in PADDINGS:
        raise ValueError(f"{_NAMES[type(view)]}: padding is {view.padding!r}, expected {' or '.join(PADDINGS)}")
