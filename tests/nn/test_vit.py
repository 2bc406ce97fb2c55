import numpy as np
import pytest
from directional import check_parameter_gradients

from mini_repr.autograd import Tensor
from mini_repr.nn import Block, ViT, frames_of_tubes, patchify, sine_positions, unpatchify
from mini_repr.nn.vit import choose_patch

SHAPE = (2, 8, 8)


def images(batch=3, seed=1, dtype=np.float32):
    return np.random.default_rng(seed).random((batch, *SHAPE)).astype(dtype)


def small(dtype=np.float32, **settings):
    settings = {"patch": 4, "width": 8, "depth": 2, "heads": 2, "mlp_ratio": 2.0, **settings}
    return ViT(SHAPE, np.random.default_rng(0), dtype, **settings)


@pytest.mark.parametrize("patch", [1, 2, 4, 8])
def test_patchify_and_back(patch):
    x = images()
    rows = patchify(x, patch)
    assert rows.shape == (3, (8 // patch) ** 2, patch * patch * 2)
    np.testing.assert_array_equal(unpatchify(rows, patch, SHAPE), x)
    np.testing.assert_array_equal(rows[1, 8 // patch + 1] if patch < 8 else rows[1, 0], patch_of(x[1], patch))
    back = Tensor(rows, True)
    unpatchify(back, patch, SHAPE).sum().backward()
    np.testing.assert_array_equal(back.grad, np.ones_like(rows))


def patch_of(image, patch):
    start = patch if patch < 8 else 0
    return [image[c, i, j] for i in range(start, start + patch) for j in range(start, start + patch) for c in range(2)]


def test_patchify_of_an_oblong_image():
    x = np.arange(2 * 3 * 4 * 8.0).reshape(2, 3, 4, 8)
    np.testing.assert_array_equal(unpatchify(patchify(x, 2), 2, (3, 4, 8)), x)


def test_choose_patch():
    assert [choose_patch(side, side) for side in (8, 16, 28, 32, 224)] == [2, 2, 4, 4, 32]
    assert choose_patch(7, 7) == 1 and choose_patch(28, 32) == 4


def test_sine_positions_are_distinct_and_know_rows_from_columns():
    table = sine_positions((3, 4), 16)
    assert table.shape == (12, 16) and table.dtype == np.float32
    assert len(np.unique(table.round(4), axis=0)) == 12
    np.testing.assert_array_equal(table[0, :8], table[3, :8])  # same row
    np.testing.assert_array_equal(table[0, 8:], table[4, 8:])  # same column


def test_sparse_attention_has_exact_zeros():
    soft, sparse = (
        small(attention=kind)(10 * images(), attention=True).attention[0] for kind in ("softmax", "sparsemax")
    )
    assert (soft > 0).all() and (sparse == 0).any()
    np.testing.assert_allclose(sparse.sum(axis=-1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="attention: got 'hard'"):
        small(attention="hard")


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("positions", ["learned", "sine"])
def test_shapes(pooling, positions):
    vit = small(pooling=pooling, positions=positions)
    encoded = vit(images(), layers=(2, 1), attention=True)
    rows = 4 + (pooling == "cls")
    assert encoded.pooled.shape == (3, 8) and encoded.tokens.shape == (3, 4, 8)
    assert [t.shape for t in encoded.layers] == [(3, 4, 8)] * 2
    assert [w.shape for w in encoded.attention] == [(3, 2, rows, rows)] * 2
    np.testing.assert_allclose(encoded.attention[0].sum(axis=-1), 1, rtol=1e-5)
    (first,) = vit(images(), layers=(1,)).layers
    np.testing.assert_array_equal(first.data, encoded.layers[1].data)
    assert ("positions" in vit.named_parameters()) == (positions == "learned")
    assert vit(images()).attention == () and vit(images()).layers == ()


def test_parameter_names():
    block = [
        *("norm1.gain", "norm1.bias", "qkv.weight", "qkv.bias", "out.weight"),
        *("out.bias", "norm2.gain", "norm2.bias", "expand.weight", "expand.bias", "contract.weight"),
        "contract.bias",
    ]
    assert list(small().named_parameters()) == [
        *("embed.weight", "embed.bias", "positions", "class_token"),
        *(f"blocks.{k}.{name}" for k in range(2) for name in block),
        *("norm.gain", "norm.bias"),
    ]


@pytest.mark.parametrize(
    "settings",
    [{}, {"pooling": "mean", "positions": "sine"}, {"visible": True}, {"replace": True}, {"layers": (1, 2)}],
    ids=["cls", "mean-sine", "visible", "replace", "layers"],
)
def test_parameter_gradients_equal_differences(settings):
    rng = np.random.default_rng(0)
    built = {k: v for k, v in settings.items() if k in ("pooling", "positions")}
    vit = small(np.float64, **built)
    call = {}
    if "visible" in settings:
        call["visible"] = np.array([[0, 2, 3], [3, 1, 0], [1, 2, 0]])
    if "replace" in settings:
        vit.mask_token = Tensor(rng.standard_normal(8), True)
        call |= {"replace": rng.random((3, 4)) < 0.5, "mask_token": vit.mask_token}
    call["layers"] = settings.get("layers", ())
    x = images(dtype=np.float64)
    count = 3 if "visible" in settings else 4
    weights = [
        rng.standard_normal((3, 8)),
        *(rng.standard_normal((3, count, 8)) for _ in range(1 + len(call["layers"]))),
    ]

    def loss():
        encoded = vit(x, **call)
        outputs = (encoded.pooled, encoded.tokens, *encoded.layers)
        return sum(((t * w).sum() for t, w in zip(outputs, weights, strict=True)), Tensor(np.zeros(())))

    check_parameter_gradients(vit, loss, rng)


def test_image_gradient_flows_through_the_patches():
    vit = small(np.float64)
    x = Tensor(images(dtype=np.float64), True)
    (vit(x).pooled ** 2).sum().backward()
    assert x.grad.shape == x.shape and x.grad.any()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_all_visible_equals_full_and_a_permutation_permutes_tokens(pooling):
    vit = small(np.float64, pooling=pooling)
    x = images(dtype=np.float64)
    full = vit(x)
    same = vit(x, visible=np.tile(np.arange(4), (3, 1)))
    order = np.array([[3, 1, 0, 2]] * 3)
    moved = vit(x, visible=order)
    np.testing.assert_allclose(same.tokens.data, full.tokens.data, rtol=1e-12)
    np.testing.assert_allclose(moved.pooled.data, full.pooled.data, rtol=1e-10)
    np.testing.assert_allclose(moved.tokens.data, full.tokens.data[:, order[0]], rtol=1e-10)


def test_hidden_patches_have_no_influence():
    vit = small()
    x, visible = images(), np.array([[0, 3]] * 3)
    before = vit(x, visible=visible)
    x[:, :, :4, 4:] += 1  # patch 1
    np.testing.assert_array_equal(vit(x, visible=visible).pooled.data, before.pooled.data)
    assert before.tokens.shape == (3, 2, 8)


def test_replaced_patches_have_no_influence_but_their_token_has():
    vit, token = small(), Tensor(np.ones(8, np.float32), True)
    x, replace = images(), np.zeros((3, 4), bool)
    full = vit(x)
    np.testing.assert_array_equal(vit(x, replace=replace, mask_token=token).pooled.data, full.pooled.data)
    replace[:, 1] = True
    masked = vit(x, replace=replace, mask_token=token)
    assert (masked.pooled.data != full.pooled.data).any()
    x[:, :, :4, 4:] += 1
    again = vit(x, replace=replace, mask_token=token)
    np.testing.assert_array_equal(again.pooled.data, masked.pooled.data)
    again.pooled.sum().backward()
    assert token.grad.shape == (8,) and token.grad.any()


def test_dropout_is_for_training():
    vit = small(dropout=0.2)
    assert (vit(images()).pooled.data != vit(images()).pooled.data).any()
    vit.eval()
    np.testing.assert_array_equal(vit(images()).pooled.data, vit(images()).pooled.data)


def test_block_mask_hides_tokens():
    block = Block(8, 2, 2.0, np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((2, 5, 8)).astype(np.float32)
    mask = np.ones((2, 1, 1, 5), bool)
    mask[..., 3:] = False
    rows, weights = block(Tensor(x), mask)
    assert not weights[..., 3:].any()
    short, _ = block(Tensor(x[:, :3]))
    np.testing.assert_allclose(rows.data[:, :3], short.data, rtol=1e-5, atol=1e-6)


@pytest.mark.crosscheck
@pytest.mark.parametrize("masked", [False, True])
def test_block_equals_torch(masked):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    block = Block(16, 4, 2.0, rng, dtype=np.float64)
    for p in block.parameters():
        p.data += 0.1 * rng.standard_normal(p.shape)
    theirs = torch.nn.TransformerEncoderLayer(
        16,
        4,
        32,
        dropout=0.0,
        activation=lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
        dtype=torch.float64,
    )
    pairs = {
        "norm1.gain": theirs.norm1.weight,
        "norm1.bias": theirs.norm1.bias,
        "qkv.weight": theirs.self_attn.in_proj_weight,
        "qkv.bias": theirs.self_attn.in_proj_bias,
        "out.weight": theirs.self_attn.out_proj.weight,
        "out.bias": theirs.self_attn.out_proj.bias,
        "norm2.gain": theirs.norm2.weight,
        "norm2.bias": theirs.norm2.bias,
        "expand.weight": theirs.linear1.weight,
        "expand.bias": theirs.linear1.bias,
        "contract.weight": theirs.linear2.weight,
        "contract.bias": theirs.linear2.bias,
    }
    ours = block.named_parameters()
    assert pairs.keys() == ours.keys()
    with torch.no_grad():
        for name, p in pairs.items():
            p.copy_(torch.tensor(ours[name].data.T if ours[name].ndim == 2 else ours[name].data))
    x, g = rng.standard_normal((3, 6, 16)), rng.standard_normal((3, 6, 16))
    mask = np.tril(np.ones((6, 6), bool)) if masked else None
    a, b = Tensor(x, True), torch.tensor(x, requires_grad=True)
    rows, _ = block(a, mask)
    expected = theirs(b, src_mask=None if mask is None else torch.tensor(~mask))
    np.testing.assert_allclose(rows.data, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    rows.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-8, atol=1e-10)
    for name, p in pairs.items():
        grad = p.grad.numpy().T if p.ndim == 2 else p.grad.numpy()
        np.testing.assert_allclose(ours[name].grad, grad, rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.crosscheck
def test_patch_embedding_equals_a_torch_convolution():
    torch = pytest.importorskip("torch")
    vit = small(np.float64)
    conv = torch.nn.Conv2d(2, 8, 4, stride=4, dtype=torch.float64)
    x = images(dtype=np.float64)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(vit.embed.weight.data.reshape(4, 4, 2, 8).transpose(3, 2, 0, 1)))
        conv.bias.copy_(torch.tensor(vit.embed.bias.data))
        expected = conv(torch.tensor(x)).flatten(2).transpose(1, 2).numpy()
    np.testing.assert_allclose(vit.embed(patchify(x, 4)).data, expected, rtol=1e-10, atol=1e-12)


TOKEN = Tensor(np.zeros(8, np.float32))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"patch": 3}, "^ViT: patch: got 3"),
        ({"patch": 0}, "^encoder vit: patch: got 0"),
        ({"width": 0}, "^encoder vit: width: got 0"),
        ({"heads": 3}, "heads: got 3, expected a divisor of width 8"),
        ({"depth": 0}, "^encoder vit: depth: got 0"),
        ({"positions": "rotary"}, "^encoder vit: positions: got 'rotary'"),
        ({"positions": "sine", "width": 6}, "sine_positions: width: got 6"),
        ({"pooling": "sum"}, "^encoder vit: pooling: got 'sum'"),
        ({"dropout": 1.5}, "^encoder vit: dropout: got 1.5"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


@pytest.mark.parametrize(
    "call, message",
    [
        ({"images": images()[:, :1]}, "ViT: images: got shape"),
        ({"visible": np.zeros((2, 2), int)}, r"ViT: visible: got shape \(2, 2\)"),
        ({"visible": np.zeros((3, 2))}, "ViT: visible: got .*float64"),
        ({"visible": np.full((3, 2), 4)}, "ViT: visible: expected .* numbered 0 to 3"),
        ({"visible": np.zeros((3, 0), int)}, "ViT: visible: expected one patch or more"),
        ({"replace": np.zeros((3, 4), bool)}, "ViT: mask_token: expected together with replace"),
        ({"mask_token": TOKEN}, "ViT: mask_token: expected together with replace"),
        ({"replace": np.zeros((3, 4)), "mask_token": TOKEN}, "ViT: replace: got .*float64"),
        ({"replace": np.zeros((3, 5), bool), "mask_token": TOKEN}, "ViT: replace: got shape"),
        ({"replace": np.zeros((3, 4), bool), "mask_token": Tensor(np.zeros(4))}, "ViT: mask_token: got shape"),
        ({"layers": (0,)}, r"ViT: layers: got \(0,\)"),
        ({"layers": (3,)}, r"ViT: layers: got \(3,\), expected numbers from 1 to 2"),
    ],
)
def test_bad_inputs_are_named(call, message):
    call = {"images": images(), **call}
    with pytest.raises(ValueError, match=message):
        small()(**call)


@pytest.mark.parametrize("patch", [3, 0])
def test_patchify_names_a_bad_patch(patch):
    with pytest.raises(ValueError, match="patchify: patch: got"):
        patchify(images(), patch)
    with pytest.raises(ValueError, match="unpatchify: patches: got shape"):
        unpatchify(np.zeros((2, 5, 8)), 2, SHAPE)


def test_a_shortcut_that_fades():
    """With branches that give nothing, the output before the norm is the product of the numbers times the input."""
    encoder = small(np.float64, depth=6, shortcut_min=0.7)
    factors = [factor for block in encoder.blocks for factor in block._shortcut]
    assert factors[0] == 1 and factors[-1] == 0.7 and (np.diff(factors) < 0).all()
    assert np.prod(factors) == pytest.approx(0.1320, abs=1e-4)
    assert np.prod(np.linspace(1, 0.7, 24)) == pytest.approx(0.0176, abs=1e-4)
    for block in encoder.blocks:
        for last in (block.out, block.contract):
            last.weight.data[:] = last.bias.data[:] = 0
    rows = patchify(images(dtype=np.float64), 4) @ encoder.embed.weight.data + encoder.positions.data
    np.testing.assert_allclose(encoder(images(dtype=np.float64), layers=(6,)).layers[0].data, np.prod(factors) * rows)
    start = Tensor(rows, True)
    y = start
    for block in encoder.blocks:
        y = block(y)[0]
    y.sum().backward()
    np.testing.assert_allclose(start.grad, np.prod(factors))


def test_a_whole_shortcut_is_the_plain_block_to_the_bit():
    np.testing.assert_array_equal(small(shortcut_min=1.0)(images()).pooled.data, small()(images()).pooled.data)


def test_gradients_beside_a_faded_shortcut():
    encoder = small(np.float64, shortcut_min=0.6)
    x = images(dtype=np.float64)
    check_parameter_gradients(encoder, lambda: (encoder(x).pooled ** 2).sum(), np.random.default_rng(0))


@pytest.mark.parametrize("start, least", [("scaled", 1 / np.sqrt(6)), ("zero", 0.0)])
def test_another_start_is_the_plain_one_with_the_last_weights_smaller(start, least):
    plain, scaled = small(depth=3), small(depth=3, start=start)
    for one, other in zip(plain.blocks, scaled.blocks, strict=True):
        for name, parameter in one.named_parameters().items():
            factor = least if name in ("out.weight", "contract.weight") else 1
            np.testing.assert_allclose(other.named_parameters()[name].data, factor * parameter.data, rtol=1e-6)


# --- clips

CLIP = (6, 2, 8, 8)


def clips(dtype=np.float64):
    return np.random.default_rng(1).random((3, *CLIP)).astype(dtype)


def clip_vit(dtype=np.float64, **settings):
    vit = ViT(CLIP, np.random.default_rng(0), dtype, **{"patch": 4, "width": 8, "heads": 2, **settings})
    rng = np.random.default_rng(2)
    vit.load_state_dict({n: x + rng.uniform(0.2, 0.4, x.shape) for n, x in vit.state_dict().items()})
    return vit


@pytest.mark.parametrize("settings", [{}, {"tube": 3, "pooling": "mean"}, {"tube": 1, "positions": "sine"}])
def test_clips_equal_the_definition(settings):
    vit, x = clip_vit(**settings), clips()
    times = 6 // settings.get("tube", 2)
    assert vit.grid == (times, 2, 2) and vit(x).tokens.shape == (3, 4 * times, 8)
    np.testing.assert_allclose(vit(x).pooled.data, ViT.page.literal(vit, x), rtol=1e-10)
    assert ("times" in vit.state_dict()) == ("positions" not in settings)


def test_a_clip_of_one_frame_is_an_image():
    image, clip = small(), ViT((1, *SHAPE), np.random.default_rng(0), patch=4, width=8, depth=2, heads=2, mlp_ratio=2)
    assert clip.tube == 1
    state = image.state_dict()
    clip.load_state_dict({**state, "times": np.zeros((1, 8), np.float32)})
    x, visible = images(), np.array([[0, 3], [1, 2], [3, 1]])
    for chosen in (None, visible):
        one, other = image(x, visible=chosen), clip(x[:, None], visible=chosen)
        np.testing.assert_array_equal(one.pooled.data, other.pooled.data)
        np.testing.assert_array_equal(one.tokens.data, other.tokens.data)


def test_tubes_of_a_clip_are_its_tokens():
    x = clips()
    rows = patchify(x, 4, 2)
    assert rows.shape == (3, 12, 2 * 16 * 2)
    # Token (1, 0, 1): frames 2 and 3, upper right; the first frame first, in it row by row with the channels last.
    np.testing.assert_array_equal(rows[0, 5], x[0, 2:4, :, :4, 4:].transpose(0, 2, 3, 1).reshape(-1))
    np.testing.assert_array_equal(unpatchify(patchify(x, 4), 4, CLIP), x)
    np.testing.assert_array_equal(frames_of_tubes(x, 2), x[:, [0, 2, 5]])
    np.testing.assert_array_equal(frames_of_tubes(np.arange(8.0).reshape(1, 8, 1, 1, 1), 2).ravel(), [0, 2, 4, 7])
    assert frames_of_tubes(x, 1) is x and frames_of_tubes(x[:, 0], 2).shape == (3, 2, 8, 8)
    with pytest.raises(ValueError, match="patchify: tube: got 4, expected a divisor of 6 frames"):
        patchify(x, 4, 4)


def test_hidden_tubes_have_no_influence_and_positions_travel_with_their_tokens():
    vit, x = clip_vit(), clips()
    visible = np.array([[0, 5, 11]] * 3)
    before = vit(x, visible=visible)
    moved = vit(x, visible=visible[:, [2, 0, 1]])
    np.testing.assert_allclose(moved.tokens.data, before.tokens.data[:, [2, 0, 1]], rtol=1e-10)
    x[:, 2:4, :, :4, :4] += 1  # token 4
    np.testing.assert_array_equal(vit(x, visible=visible).pooled.data, before.pooled.data)
    x[:, 3, :, :4, 4:] += 1  # the second frame of token 5
    assert (vit(x, visible=visible).pooled.data != before.pooled.data).any()


def test_clip_gradients_equal_differences():
    rng, vit, x = np.random.default_rng(0), clip_vit(depth=1), clips()
    weights = rng.standard_normal((3, 3, 8))
    visible = np.array([[0, 5, 11], [1, 2, 3], [4, 9, 10]])
    check_parameter_gradients(vit, lambda: (vit(x, visible=visible).tokens * weights).sum(), rng)


def test_sine_positions_of_clips_are_distinct_and_a_sum_of_time_and_place():
    table = sine_positions((3, 2, 4), 16).reshape(3, 8, 16)
    assert len(np.unique(table.reshape(-1, 16).round(4), axis=0)) == 24
    np.testing.assert_allclose(table[2, 5] - table[0, 5], table[2, 1] - table[0, 1], atol=1e-6)


def test_clips_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="ViT: tube: got 4, expected a divisor of 6 frames"):
        clip_vit(tube=4)
    with pytest.raises(ValueError, match=r"images: got shape \(3, 2, 8, 8\), expected \(B, 6, 2, 8, 8\)"):
        clip_vit()(images())
    assert ViT((5, *SHAPE), np.random.default_rng(0)).tube == 1
