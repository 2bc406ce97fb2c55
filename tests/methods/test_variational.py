"""Random codes: what a step computes, the floor of their variance, and the rows that come of them."""

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.losses.embeddings.cmim_contrast import cmim_contrast
from mini_repr.losses.reconstruction.a_mim import a_mim
from mini_repr.methods import Batch, build_method, encode
from mini_repr.training import config
from mini_repr.training.session import embed, start

DATA = load("digits")
IMAGES = DATA.train.images[:6]
SMALL = {"name": "mlp", "width": 8, "hidden": 16, "depth": 1, "norm": None}


def variational(added=(), **settings):
    chosen = {"method": {"name": "variational", "code": 3, "hidden": 16, **settings}, "encoder": SMALL}
    chosen["add"] = {name: {"weight": weight} for name, weight in added}
    chosen["method"]["views"] = ""
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def test_a_step_is_the_loss_of_the_drawn_code_and_its_contrast():
    method = variational([("cmim_contrast", 0.5)])
    step = method.step(Batch((IMAGES,)), np.random.default_rng(3))
    noise = np.random.default_rng(3).standard_normal((6, 3), dtype=np.float32)
    mean, variance = (x.data for x in method.codes(method.encoder(IMAGES).pooled))
    z = mean + np.sqrt(variance) * noise
    rebuilt = method.decoder(z).data
    expected = a_mim(rebuilt, IMAGES.reshape(6, -1), z, mean, variance).data + 0.5 * cmim_contrast(z).data
    np.testing.assert_allclose(step.total.data, expected, rtol=1e-5)
    step.total.backward()
    assert all(np.abs(p.grad).max() > 0 for name, p in method.named_parameters().items() if "weight" in name)


def test_the_variance_has_its_floor():
    method = variational(least_variance=0.01)
    method.head.bias.data[3:] = -50
    assert method.codes(method.encoder(IMAGES).pooled)[1].data == pytest.approx(0.01, rel=1e-4)


def test_codes_and_the_decoders_hidden_rows_are_written_beside_the_encoders(tmp_path):
    method = variational()
    rows = method.further_rows()
    code, hidden = (encode(rows[name], IMAGES, CPU) for name in ("code", "informative"))
    mean = method.codes(method.encoder(IMAGES).pooled)[0].data
    np.testing.assert_allclose(code, mean, rtol=1e-6)
    first = method.decoder.linears[0]
    np.testing.assert_allclose(hidden, np.maximum(mean @ first.weight.data + first.bias.data, 0), rtol=1e-5)
    chosen = {"method": {"name": "variational", "code": 3}, "encoder": SMALL, "train": {"epochs": 1}}
    _, home = start(chosen, out=tmp_path / "run")
    home.close()
    shapes = embed(tmp_path / "run", "digits", tmp_path / "rows.npz")
    assert shapes == {"z": (1797, 8), "code": (1797, 3), "informative": (1797, 256)}
