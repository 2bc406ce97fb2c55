from dataclasses import fields

import numpy as np
import pytest

from mini_repr import backend as backends
from mini_repr.data import COLOUR_VIEWS, DEFAULT_VIEWS, VIEWS, Compose, parse_views, resample
from mini_repr.data.views import Geometric, Jitter

GREY_ZERO = {
    "shift": "shift=0",
    "rotate": "rotate=0",
    "scale": "scale=0",
    "shear": "shear=0",
    "crop": "crop=1:1",
    "flip": "flip=0",
    "brightness": "brightness=0",
    "contrast": "contrast=0",
    "cutout": "cutout=0",
    "noise": "noise=0",
}
ZERO = GREY_ZERO | {"grey": "grey=0", "jitter": "jitter=0:0:0:0:1"}
ALL = [*VIEWS, DEFAULT_VIEWS, COLOUR_VIEWS]


def make(shape=(9, 3, 8, 7), dtype=np.float32, seed=0):
    images = np.random.default_rng(seed).random(shape).astype(dtype)
    images[0], images[1] = 0, 1
    return images


def rng(seed=1):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", ALL)
def test_shape_dtype_range_and_input(text, dtype):
    images, view = make(dtype=dtype), parse_views(text)
    before = images.copy()
    images.flags.writeable = False
    for seed in range(5):
        out = view(images, rng(seed))
        assert out.shape == images.shape and out.dtype == dtype
        assert out.min() >= 0 and out.max() <= 1
        assert not np.shares_memory(out, images)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("text", ALL)
def test_one_seed_gives_one_batch(text):
    images, view = make(), parse_views(text)
    first = view(images, rng(1))
    assert np.array_equal(first, view(images, rng(1)))
    assert not np.array_equal(first, view(images, rng(2)))
    assert not np.array_equal(first, images)
    # float64 sees the same view, not another one.
    np.testing.assert_allclose(view(images.astype(np.float64), rng(1)), first, atol=2e-5)


def test_every_view_is_tested_at_zero_strength():
    assert ZERO.keys() == VIEWS.keys()


@pytest.mark.parametrize("text", [*ZERO.values(), ",".join(ZERO.values()), "", "none"])
def test_zero_strength_changes_nothing(text):
    images = make()
    assert np.array_equal(parse_views(text)(images, rng()), images)


@pytest.mark.parametrize("text", GREY_ZERO)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 1, 5), (3, 1, 8, 8)])
def test_grey_and_tiny_images(text, shape):
    assert parse_views(text)(make((3, 1, 8, 8))[: shape[0], :, : shape[2], : shape[3]], rng()).shape == shape


def test_large_batches_give_what_small_ones_do():
    """Above a megabyte the sampler runs in blocks of rows on several threads."""
    images = make((700, 3, 16, 16))
    maps = VIEWS["rotate"]().maps(700, 16, 16, rng())
    whole = resample(images, maps)
    parts = [resample(images[i : i + 7], maps[i : i + 7]) for i in range(0, 700, 7)]
    assert np.array_equal(whole, np.concatenate(parts))


# --- known transformations


def translation(rows, columns):
    maps = np.eye(3)[None].repeat(9, 0)
    maps[:, :2, 2] = rows, columns
    return maps


@pytest.mark.parametrize("padding", ["zero", "edge"])
def test_a_shift_by_whole_pixels_is_exact(padding):
    images = make()
    mode = {"mode": "constant"} if padding == "zero" else {"mode": "edge"}
    padded = np.pad(images, ((0, 0), (0, 0), (20, 20), (20, 20)), **mode)
    for rows, columns in ((1, 0), (0, -1), (-2, 3), (20, 20), (0, -20)):
        out = resample(images, translation(rows, columns), padding)
        assert np.array_equal(out, padded[:, :, 20 + rows : 28 + rows, 20 + columns : 27 + columns])


def test_half_a_pixel_is_the_mean_of_two():
    images = make()
    out = resample(images, translation(0.5, 0), "edge")
    below = np.concatenate([images[:, :, 1:], images[:, :, -1:]], axis=2)
    np.testing.assert_allclose(out, (images + below) / 2, atol=1e-6)
    fading = resample(images, translation(0.5, 0), "zero")
    np.testing.assert_allclose(fading[:, :, -1], images[:, :, -1] / 2, atol=1e-6)


class Extreme:
    """A generator whose uniform numbers are all the upper (or lower) end: the strongest view there is."""

    def __init__(self, upper=True):
        self.upper = upper

    def uniform(self, low, high, size):
        return np.full(size, high if self.upper else low, dtype=float)

    def random(self, size):
        return np.zeros(size)


@pytest.mark.parametrize("side", [8, 7])
def test_a_quarter_turn_is_exact(side):
    images = make((4, 2, side, side))
    for upper, turns in ((True, 1), (False, -1)):
        out = parse_views("rotate=90")(images, Extreme(upper))
        assert np.array_equal(out, np.rot90(images, turns, axes=(2, 3)))
    half = parse_views("rotate=180")(images, Extreme())
    assert np.array_equal(half, images[:, :, ::-1, ::-1])


def test_flip_is_exact_and_happens_as_often_as_asked():
    images = make((2000, 1, 3, 4))
    out = parse_views("flip=0.3")(images, rng())
    flipped = (out == images[..., ::-1]).all(axis=(1, 2, 3))
    assert (flipped | (out == images).all(axis=(1, 2, 3))).all()
    assert 0.25 < flipped[2:].mean() < 0.35
    assert np.array_equal(parse_views("flip=1")(images, rng()), images[..., ::-1])


def test_shift_moves_both_ways_within_its_reach():
    maps = VIEWS["shift"](2.5).maps(4000, 8, 8, rng())
    moves = maps[:, :2, 2]
    assert (np.abs(moves) <= 2.5).all() and moves.min() < -2.4 and moves.max() > 2.4
    assert np.array_equal(maps[0, :2, :2], np.eye(2))


def test_scale_doubles_and_halves():
    images = np.zeros((1, 1, 9, 9), np.float32)
    images[0, 0, 3:6, 3:6] = 1
    smaller = parse_views("scale=1")(images, Extreme(True))
    larger = parse_views("scale=1")(images, Extreme(False))
    assert smaller.sum() < images.sum() < larger.sum()
    assert larger[0, 0, 2:7, 2:7].min() == 1


def test_shear_keeps_rows():
    images = np.broadcast_to(np.linspace(0, 1, 8, dtype=np.float32)[:, None], (2, 1, 8, 8)).copy()
    assert np.array_equal(parse_views("shear=20:edge")(images, rng()), images)
    upright = np.ascontiguousarray(images.swapaxes(2, 3))
    assert not np.array_equal(parse_views("shear=20:edge")(upright, rng()), upright)


def test_crop_stays_inside_and_covers_the_area_it_says():
    height, width = 20, 30
    maps = VIEWS["crop"](0.25, 4 / 3).maps(3000, height, width, rng())
    high, wide = maps[:, 0, 0], maps[:, 1, 1]
    assert (high * wide > 0.25 * 0.999).all() and (high * wide <= 1).all() and (high * wide).min() < 0.27
    assert (np.abs(maps[:, 0, 2]) + high * height / 2 <= height / 2 + 1e-9).all()
    assert (np.abs(maps[:, 1, 2]) + wide * width / 2 <= width / 2 + 1e-9).all()
    assert (wide / high).max() <= 4 / 3 + 1e-9 and (wide / high).min() >= 3 / 4 - 1e-9
    # A crop of an even picture is the same even picture, up to the border.
    even = np.full((50, 3, 8, 8), 0.7, np.float32)
    assert np.array_equal(parse_views("crop=0.1")(even, rng()), even)


def test_brightness_and_contrast_by_hand():
    images = make((5, 1, 4, 4))
    factor = rng().uniform(0.5, 1.5, 5)[:, None, None, None]
    np.testing.assert_allclose(parse_views("brightness=0.5")(images, rng()), np.clip(images * factor, 0, 1), atol=1e-6)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    expected = np.clip(mean + factor * (images - mean), 0, 1)
    np.testing.assert_allclose(parse_views("contrast=0.5")(images, rng()), expected, atol=1e-6)


def test_cutout_blackens_one_square():
    images = np.ones((500, 3, 8, 8), np.float32)
    out = parse_views("cutout=3")(images, rng())
    gone = 64 - out[:, 0].sum(axis=(1, 2))
    assert gone.max() == 9 and gone.min() == 4 and set(np.unique(out)) == {0, 1}
    assert (out[:, 0] == out[:, 1]).all()
    assert (out[:, 0].mean(axis=0) < 1).all()  # every pixel may go
    assert (parse_views("cutout=100")(images, rng()) == 0).all()


def test_noise_has_its_deviation():
    out = parse_views("noise=0.05")(np.full((100, 1, 16, 16), 0.5, np.float32), rng())
    assert abs(out.std() - 0.05) < 0.001 and abs(out.mean() - 0.5) < 0.001


def test_grey_is_the_luma():
    images = make((2000, 3, 2, 2))
    out = parse_views("grey=1")(images, rng())
    luma = np.einsum("bchw,c->bhw", images, [0.299, 0.587, 0.114])
    np.testing.assert_allclose(out, np.stack([luma] * 3, axis=1), atol=1e-6)
    some = parse_views("grey=0.3")(images, rng())
    assert 0.65 < (some == images).all(axis=(1, 2, 3))[2:].mean() < 0.75


def test_jitter_step_by_step():
    images = 0.3 + 0.2 * make((6, 3, 4, 4))  # mild: nothing is cut
    out = Jitter(0.2, 0.2, 0.2, 0.05, 1)(images, rng())
    draws = rng()
    draws.random(6)
    brightness, contrast, saturation = (draws.uniform(0.8, 1.2, 6)[:, None, None, None] for _ in range(3))
    angle = 2 * np.pi * draws.uniform(-0.05, 0.05, 6)
    weights = np.array([0.299, 0.587, 0.114])[:, None, None]
    step = images * brightness
    step = contrast * step + (1 - contrast) * (step * weights).sum(1, keepdims=True).mean((2, 3), keepdims=True)
    step = saturation * step + (1 - saturation) * (step * weights).sum(1, keepdims=True)
    axis = np.ones(3) / np.sqrt(3)
    for image, expected, turn in zip(out, step, angle, strict=True):
        colours = expected.reshape(3, -1).T
        turned = (
            colours * np.cos(turn)
            + np.cross(axis, colours) * np.sin(turn)
            + axis * (colours @ axis)[:, None] * (1 - np.cos(turn))
        )
        np.testing.assert_allclose(image.reshape(3, -1).T, turned, atol=1e-5)
    grey = np.repeat(make((6, 1, 4, 4)), 3, axis=1)
    turned = Jitter(0, 0, 1, 0.5, 1)(grey, rng())
    np.testing.assert_allclose(turned, grey, atol=1e-6)  # grey has neither saturation nor hue
    assert np.array_equal(Jitter(probability=0.0)(images, rng()), images)


# --- composition


def test_neighbouring_geometric_views_are_sampled_once():
    images = make()
    fused = parse_views("shift=1,rotate=20,scale=0.2")(images, rng())
    draws = rng()
    parts = [VIEWS[name](value) for name, value in (("shift", 1.0), ("rotate", 20.0), ("scale", 0.2))]
    first, second, third = (view.maps(9, 8, 7, draws) for view in parts)
    assert np.array_equal(fused, resample(images, first @ second @ third))


def test_the_product_of_maps_is_one_view_after_the_other():
    """With whole-pixel maps nothing is interpolated, so both ways must agree wherever nothing was pushed out."""
    images = np.zeros((1, 1, 9, 9), np.float32)
    images[:, :, 3:6, 3:6] = np.arange(1, 10).reshape(3, 3) / 9
    shift = np.array([[[1.0, 0, 1], [0, 1, 2], [0, 0, 1]]])
    turn = np.array([[[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]])
    assert np.array_equal(resample(resample(images, shift), turn), resample(images, shift @ turn))
    assert not np.array_equal(resample(images, shift @ turn), resample(images, turn @ shift))


@pytest.mark.parametrize(
    ("text", "samplings"),
    [
        ("shift,rotate,flip,scale", 1),
        ("flip,crop,flip", 1),
        ("flip,flip", 1),
        ("shift,crop", 2),
        ("flip,shift:zero", 1),
        ("shift,noise,shift", 2),
        (DEFAULT_VIEWS, 1),
        (COLOUR_VIEWS, 1),
        ("noise,brightness", 0),
    ],
)
def test_number_of_samplings(text, samplings, monkeypatch):
    calls = []
    monkeypatch.setattr("mini_repr.data.views.resample", lambda *a: calls.append(a[2]) or resample(*a))
    parse_views(text.replace("shift:zero", "shift=1:zero"))(make(), rng())
    assert len(calls) == samplings


@pytest.mark.parametrize("text", [*VIEWS, DEFAULT_VIEWS, COLOUR_VIEWS, "shift=0.1:edge, crop = 0.3:1.7 ,cutout=3", ""])
def test_description_reads_back(text):
    views = parse_views(text)
    again = parse_views(views.describe())
    assert again == views and again.describe() == views.describe()
    assert np.array_equal(again(make(), rng()), views(make(), rng()))


def test_description_is_plain():
    assert parse_views("shift=1,crop=0.5").describe() == "shift=1:zero,crop=0.5:1.3333333333333333:edge"
    assert VIEWS["cutout"](3).describe() == "cutout=3"
    assert Compose((VIEWS["noise"](0.1),)) == parse_views("noise=0.1")


# --- misuse


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotat=3", "unknown view 'rotat'; did you mean rotate"),
        ("zzz", "unknown view 'zzz'; known: shift"),
        ("shift,,flip", "unknown view ''"),
        ("shift=a", "shift: pixels is 'a', expected a number"),
        ("shift=", "shift: pixels is '', expected a number"),
        ("shift=1:zero:3", "3 values in 'shift=1:zero:3', expected at most 2 .pixels:padding."),
        ("shift=1:wrap", "padding is 'wrap', expected zero or edge"),
        ("noise=nan", "noise: deviation is nan, expected a number from 0 to 10"),
        ("cutout=1.5", "whole number of pixels"),
    ],
)
def test_text_that_does_not_parse(text, message):
    with pytest.raises(ValueError, match=message):
        parse_views(text)


def test_views_are_a_text():
    with pytest.raises(ValueError, match="views: got 3, expected text"):
        parse_views(3)


@pytest.mark.parametrize("name", VIEWS)
def test_every_parameter_is_checked(name):
    for field in fields(VIEWS[name]):
        for bad in ("wrap", None) if field.type is str else (-0.1, 1e9, float("nan"), "x", None):
            with pytest.raises(ValueError, match=f"{name}: {field.name} is"):
                VIEWS[name](**{field.name: bad})


@pytest.mark.parametrize("view", [VIEWS["shift"](), VIEWS["noise"](), parse_views("shift"), parse_views("")])
@pytest.mark.parametrize(
    "images", [np.zeros((2, 8, 8)), np.zeros((2, 1, 8, 8), np.uint8), np.zeros((0, 1, 8, 8)), [[1.0]], None]
)
def test_what_is_no_batch_of_images(view, images):
    with pytest.raises(ValueError, match="expected floating-point images"):
        view(images, rng())


@pytest.mark.parametrize("name", ["grey", "jitter"])
def test_colour_views_need_colour(name):
    with pytest.raises(ValueError, match=f"{name}: .* expected 3 channels"):
        parse_views(name)(make((2, 1, 8, 8)), rng())


# --- another device


class DeviceArray(np.ndarray):
    """An array that, as CuPy's, refuses to meet a NumPy array."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **kwargs):
        check_device((*inputs, *out))
        bare = [one.view(np.ndarray) if isinstance(one, DeviceArray) else one for one in inputs]
        if out:
            kwargs["out"] = tuple(one.view(np.ndarray) for one in out)
        result = getattr(ufunc, method)(*bare, **kwargs)
        return out[0] if out else np.asarray(result).view(DeviceArray)

    def __array_function__(self, function, types, args, kwargs):
        check_device((*args, *kwargs.values()))
        return super().__array_function__(function, types, args, kwargs)


def check_device(values):
    for value in values:
        assert type(value) is not np.ndarray, "a host array met a device array"


class DeviceNamespace:
    def __getattr__(self, name):
        def call(*args, **kwargs):
            check_device((*args, *kwargs.values()))
            result = getattr(np, name)(*args, **kwargs)
            return result.view(DeviceArray) if isinstance(result, np.ndarray) else result

        return call


class DeviceBackend(backends.NumpyBackend):
    xp = DeviceNamespace()

    def asarray(self, values, dtype=None):
        return np.array(values, dtype=dtype).view(DeviceArray)


@pytest.fixture
def device(monkeypatch):
    # Before ndarray, of which it is a subclass.
    monkeypatch.setattr(backends, "_BACKENDS", {DeviceArray: DeviceBackend(), **backends._BACKENDS})


@pytest.mark.parametrize("text", ALL)
def test_every_device_sees_the_same_view(device, text):
    images = make()
    out = parse_views(text)(images.view(DeviceArray), rng())
    assert type(out) is DeviceArray
    assert np.array_equal(out.view(np.ndarray), parse_views(text)(images, rng()))


@pytest.mark.gpu
@pytest.mark.parametrize("text", ALL)
def test_the_gpu_sees_the_same_view(text):
    try:
        gpu = backends.get_backend("gpu")
    except backends.DeviceError as error:
        pytest.skip(str(error))
    out = parse_views(text)(gpu.asarray(make()), rng())
    np.testing.assert_allclose(gpu.to_numpy(out), parse_views(text)(make(), rng()), atol=1e-5)


def test_geometric_views_are_those_with_maps():
    assert {name for name, view in VIEWS.items() if issubclass(view, Geometric)} == {
        "shift",
        "rotate",
        "scale",
        "shear",
        "crop",
        "flip",
    }


@pytest.mark.parametrize("text", [*(t for t in ALL if "noise" not in t), "rotate,contrast=0.5,shift=2:edge"])
def test_all_frames_of_a_clip_are_seen_alike(text):
    """A clip of one frame repeated stays one; frames that differ are moved and recoloured as a single image is."""
    images, view = make(), parse_views(text)
    still = np.repeat(images[:, None], 4, axis=1)
    seen = view(still, rng(3))
    assert seen.shape == still.shape and seen.dtype == still.dtype
    np.testing.assert_allclose(seen, np.repeat(view(images, rng(3))[:, None], 4, axis=1), atol=2e-6)
    single = next(iter(parse_views(text).views))
    np.testing.assert_allclose(single(still, rng(3)), np.repeat(single(images, rng(3))[:, None], 4, axis=1), atol=2e-6)


def test_noise_differs_from_frame_to_frame():
    still = np.full((2, 3, 1, 8, 8), 0.5, np.float32)
    seen = parse_views("noise=0.1")(still, rng())
    assert not np.allclose(seen[:, 0], seen[:, 1]) and 0.08 < (seen - still).std() < 0.12
    with pytest.raises(ValueError, match=r"or clips \(B, T, C, H, W\)"):
        parse_views("shift=1")(still[None], rng())
