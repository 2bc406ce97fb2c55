from math import exp, prod

import numpy as np
import pytest

from mini_repr.losses.reconstruction.ms_ssim import EXPONENTS, ms_ssim


def loops(prediction, target, scales, window, sigma, data_range, k1, k2, negative, reduction):
    """One window at a time, with the variances as weighted means of squared deviations."""
    offsets = [k - (window - 1) / 2 for k in range(window)]
    kernel = [exp(-(k**2) / (2 * sigma**2)) for k in offsets]
    if scales is None:
        scales = sum(min(prediction.shape[2:]) // 2**m >= window for m in range(5))
    exponents = [w / sum(EXPONENTS[:scales]) for w in EXPONENTS[:scales]]

    def statistics(x, y):
        weights = [a * b / sum(kernel) ** 2 for a in kernel for b in kernel]
        mean = [sum(w * v for w, v in zip(weights, patch, strict=True)) for patch in (x, y)]
        moments = [(0, 0), (1, 1), (0, 1)]
        pairs = list(zip(x, y, strict=True))
        return mean, [
            sum(w * (pair[a] - mean[a]) * (pair[b] - mean[b]) for w, pair in zip(weights, pairs, strict=True))
            for a, b in moments
        ]

    def half(image):
        rows, columns = len(image) // 2, len(image[0]) // 2
        return [
            [sum(image[2 * i + p][2 * j + q] for p in (0, 1) for q in (0, 1)) / 4 for j in range(columns)]
            for i in range(rows)
        ]

    losses = []
    for images in zip(prediction.tolist(), target.tolist(), strict=True):
        channels = []
        for x, y in zip(*images, strict=True):
            means = []
            for scale in range(scales):
                x, y = (half(x), half(y)) if scale else (x, y)
                total, places = 0.0, 0
                for i in range(len(x) - window + 1):
                    for j in range(len(x[0]) - window + 1):
                        patches = [[v for row in m[i : i + window] for v in row[j : j + window]] for m in (x, y)]
                        (a, b), (aa, bb, ab) = statistics(*patches)
                        similar = (2 * ab + (k2 * data_range) ** 2) / (aa + bb + (k2 * data_range) ** 2)
                        if scale == scales - 1:
                            similar *= (2 * a * b + (k1 * data_range) ** 2) / (a * a + b * b + (k1 * data_range) ** 2)
                        total, places = total + similar, places + 1
                means.append(total / places)
            if scales > 1:
                means = [(1 + m) / 2 for m in means] if negative == "normalize" else [max(m, 0.0) for m in means]
                means = [m**w for m, w in zip(means, exponents, strict=True)]
            channels.append(prod(means))
        losses.append(1 - sum(channels) / len(channels))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def images(shape, seed=0, noise=0.1):
    """A smooth target and a noisy prediction of it, in about 0..1."""
    rng = np.random.default_rng(seed)
    target = rng.random(shape)
    for axis in (2, 3):
        target = (target + np.roll(target, 1, axis) + np.roll(target, 2, axis)) / 3
    return target + noise * rng.standard_normal(shape), target


@pytest.mark.parametrize("shape, scales", [((2, 1, 16, 19), 3), ((1, 2, 9, 8), 2)])
def test_clipped_powers_of_similar_images(shape, scales):
    prediction, target = images(shape)
    settings = {"scales": scales, "window": 3}
    value, hand = ms_ssim.value_and_grad(prediction, target, **settings)
    expected, engine = ms_ssim.definition_and_grad(prediction, target, **settings)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(hand["prediction"], engine["prediction"], atol=1e-13)
    assert hand["prediction"].any()


def test_scales_fill_the_image():
    prediction, target = images((1, 1, 24, 40))
    several = float(ms_ssim(prediction, target, window=5, scales=3).data)
    assert float(ms_ssim(prediction, target, window=5).data) == several
    assert float(ms_ssim(prediction, target).data) == float(ms_ssim(prediction, target, scales=2).data)


def test_a_negative_mean_makes_the_product_0_without_a_gradient():
    target = images((2, 1, 8, 8))[1]
    prediction = target.copy()
    prediction[0] = 1 - prediction[0]
    rows = ms_ssim(prediction, target, scales=2, window=3, reduction="none").data
    np.testing.assert_allclose(rows, [1, 0], atol=1e-12)
    _, gradients = ms_ssim.value_and_grad(prediction, target, scales=2, window=3)
    assert not gradients["prediction"][0].any() and np.isfinite(gradients["prediction"]).all()
    _, gradients = ms_ssim.value_and_grad(prediction, target, scales=2, window=3, negative="normalize")
    assert gradients["prediction"][0].any()
    assert float(ms_ssim(prediction[:1], target[:1], scales=1, window=3).data) > 1


def test_constant_images_have_no_structure_to_differ_in():
    flat = np.full((1, 1, 8, 8), 0.5)
    value, gradients = ms_ssim.value_and_grad(flat, flat, window=3)
    assert float(value) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(gradients["prediction"], 0, atol=1e-12)


def test_range_is_only_a_unit():
    prediction, target = images((2, 2, 10, 10))
    value = ms_ssim.value_and_grad(prediction, target, window=3)
    scaled = ms_ssim.value_and_grad(255 * prediction, 255 * target, window=3, data_range=255.0)
    assert float(scaled[0]) == pytest.approx(float(value[0]), rel=1e-9)
    np.testing.assert_allclose(255 * scaled[1]["prediction"], value[1]["prediction"], atol=1e-10)


def test_blur_costs_more_than_a_shift_of_brightness_of_equal_squared_error():
    """What the loss is for: squared error sees no difference between the two."""
    target = np.random.default_rng(1).random((4, 1, 16, 16))
    blurred = sum(np.roll(target, shift, axis) for shift in (-1, 1) for axis in (2, 3)) / 4
    size = np.sqrt(((blurred - target) ** 2).mean())
    shifted = target + size
    assert ((shifted - target) ** 2).mean() == pytest.approx(((blurred - target) ** 2).mean())
    assert float(ms_ssim(blurred, target, window=5).data) > 2 * float(ms_ssim(shifted, target, window=5).data)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"window": 9}, "window: got 9, expected at most 8, the smaller side of the images"),
        ({"window": 3, "scales": 3}, "scales: got 3, expected at most 2 for window 3, side 8"),
        ({"window": 1, "scales": 6}, "scales: got 6, expected at most 4"),
    ],
)
def test_windows_and_scales_that_do_not_fit_are_refused(settings, message):
    image = np.zeros((1, 1, 8, 9))
    with pytest.raises(ValueError, match=f"^ms_ssim: {message}"):
        ms_ssim(image, image, **settings)


@pytest.mark.parametrize("window", [4, 5])
def test_any_width_of_the_window_s_weights(window):
    """Far below a pixel only the middle of the window counts, far above the window all places alike."""
    prediction, target = images((1, 1, 6, 6))
    narrow, narrower = (float(ms_ssim(prediction, target, window=window, sigma=s).data) for s in (1e-2, 1e-300))
    wide, wider = (float(ms_ssim(prediction, target, window=window, sigma=s).data) for s in (1e5, 1e300))
    assert narrow == pytest.approx(narrower, rel=1e-12) and wide == pytest.approx(wider, rel=1e-6)
    assert abs(narrow - wide) > 1e-3


@pytest.mark.crosscheck
@pytest.mark.parametrize("scales, window, side", [(1, 7, 20), (3, 5, 24), (5, 11, 192)])
def test_equals_torch_by_convolutions(scales, window, side):
    """The same statistics by torch's convolutions and poolings, as training codes write them."""
    torch = pytest.importorskip("torch")
    prediction, target = images((2, 3, side, side))
    x, y = torch.tensor(prediction, requires_grad=True), torch.tensor(target)
    places = torch.arange(window, dtype=torch.float64) - window // 2
    line = torch.exp(-(places**2) / (2 * 1.5**2))
    kernel = (torch.outer(line, line) / line.sum() ** 2).repeat(3, 1, 1, 1)
    f = torch.nn.functional

    def blur(image):
        return f.conv2d(image, kernel, groups=3)

    exponents = torch.tensor(EXPONENTS[:scales], dtype=torch.float64)
    product, (a, b) = 1.0, (x, y)
    for scale, w in enumerate(exponents / exponents.sum()):
        if scale:
            a, b = f.avg_pool2d(a, 2), f.avg_pool2d(b, 2)
        ma, mb = blur(a), blur(b)
        cs = (2 * (blur(a * b) - ma * mb) + 9e-4) / (blur(a * a) - ma**2 + blur(b * b) - mb**2 + 9e-4)
        if scale == scales - 1:
            cs = cs * (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
        product = product * cs.mean(dim=(2, 3)) ** w
    expected = 1 - product.mean()
    expected.backward()
    value, gradients = ms_ssim.value_and_grad(prediction, target, scales=scales, window=window)
    assert float(value) == pytest.approx(expected.item(), rel=1e-9)
    largest = np.abs(gradients["prediction"]).max()
    np.testing.assert_allclose(gradients["prediction"], x.grad.numpy(), atol=1e-9 * largest)


@pytest.mark.crosscheck
def test_equals_pytorch_msssim():
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("pytorch_msssim")
    prediction, target = images((2, 1, 176, 192))
    x, y = torch.tensor(prediction, requires_grad=True), torch.tensor(target)
    for theirs, scales, total in ((library.ssim, 1, 1), (library.ms_ssim, 5, sum(EXPONENTS))):
        x.grad = None
        expected = theirs(x, y, data_range=1.0, size_average=False)  # float32 windows
        (1 - expected ** (1 / total)).mean().backward()
        rows = ms_ssim(prediction, target, scales=scales, reduction="none").data
        np.testing.assert_allclose((1 - rows) ** total, expected.detach().numpy(), rtol=1e-5)
        _, gradients = ms_ssim.value_and_grad(prediction, target, scales=scales)
        largest = np.abs(gradients["prediction"]).max()
        np.testing.assert_allclose(gradients["prediction"], x.grad.numpy(), atol=1e-4 * largest)


@pytest.mark.crosscheck
def test_equals_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    prediction, target = images((1, 1, 30, 26))
    theirs = metrics.structural_similarity(
        prediction[0, 0], target[0, 0], gaussian_weights=True, use_sample_covariance=False, data_range=1.0
    )
    assert float(ms_ssim(prediction, target, scales=1).data) == pytest.approx(1 - theirs, rel=1e-9)
