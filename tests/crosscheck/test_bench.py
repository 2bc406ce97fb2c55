"""Both sides of a row of ``scripts/bench.py`` compute the same."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.reconstruction.flow_matching import flow_matching
from mini_repr.methods.flow import mixed
from mini_repr.nn import Denoiser, LanguageHead, TextTransformer, patchify

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.crosscheck

BENCH = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "bench.py"))


def test_a_flow_matching_step_has_one_loss_and_one_gradient():
    rng = np.random.default_rng(0)
    ours = Denoiser((1, 8, 8), rng, np.float64, patch=4, width=16, depth=2, heads=2, mlp_ratio=4.0)
    theirs = BENCH["torch_denoiser"](8, 4, 16, 2, 2).double()
    theirs.rates = 10000.0 ** (-torch.arange(8, dtype=torch.float64) / 8)  # made in float32
    parameters = ours.named_parameters()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            array = parameters[name].data
            array += 0.1 * rng.standard_normal(array.shape)  # gates start at 0, where half of it has no gradient
            parameter.copy_(torch.from_numpy(array.T if name.endswith("weight") else array))
    assert {name for name, _ in theirs.named_parameters()} == set(parameters)
    data, noise, times = rng.random((5, 1, 8, 8)), rng.standard_normal((5, 1, 8, 8)), rng.random(5)
    loss = flow_matching(
        ours.denoise(mixed(data, noise, times), times).patches, *(patchify(x, 4) for x in (data, noise))
    )
    loss.backward()
    wanted = BENCH["flow_loss_in_torch"](theirs, *map(torch.from_numpy, (data, noise, times)))
    wanted.backward()
    assert float(loss.data) == pytest.approx(wanted.item(), rel=1e-10)
    for name, parameter in theirs.named_parameters():
        grad = parameter.grad.numpy()
        np.testing.assert_allclose(parameters[name].grad, grad.T if name.endswith("weight") else grad, atol=1e-9)


@pytest.mark.parametrize("causal", [False, True])
def test_a_step_on_texts_has_one_loss_and_one_gradient(causal):
    rng = np.random.default_rng(0)
    shape = {"width": 16, "depth": 2, "heads": 2, "mlp_ratio": 4.0, "max_tokens": 6}
    encoder = TextTransformer(rng, np.float64, buckets=9, causal=causal, **shape)
    head = LanguageHead(encoder.words, rng, dtype=np.float64)
    head.bias.data += rng.standard_normal(9)
    token = Tensor(rng.standard_normal(16), requires_grad=True)
    theirs = BENCH["torch_text_module"](6, 9, 16, 2, 2, causal).double()
    parameters = encoder.named_parameters() | {"bias": head.bias, "token": token}

    def of(name, kind):
        """An array of ours as it stands in theirs."""
        array = getattr(parameters[re.sub(r"(norm\d?)\.weight", r"\1.gain", name)], kind)
        turned = name.endswith("weight") and array.ndim == 2 and name != "words.weight"
        return (array.T if turned else array).reshape(theirs.get_parameter(name).shape)

    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.from_numpy(of(name, "data")))
    ids, places = rng.integers(9, size=(3, 6)), None if causal else rng.random((3, 6)).argsort(axis=1)[:, :2]
    loss = BENCH["text_loss"](encoder, head, token, ids, places)
    loss.backward()
    wanted = BENCH["text_loss_in_torch"](theirs, torch.from_numpy(ids), None if causal else torch.from_numpy(places))
    wanted.backward()
    assert float(loss.data) == pytest.approx(wanted.item(), rel=1e-12)
    for name, parameter in theirs.named_parameters():
        if not (causal and name == "token"):
            np.testing.assert_allclose(of(name, "grad"), parameter.grad.numpy(), atol=1e-12, err_msg=name)
