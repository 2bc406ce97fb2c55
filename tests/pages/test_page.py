"""Definitions, the registry and names."""

import inspect

import numpy as np
import pytest

from mini_repr.autograd import Tensor, unit_rows
from mini_repr.losses.embeddings.uniformity import uniformity
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.mrl_kl import mrl_kl
from mini_repr.pages.loss import definition, evaluate_definition
from mini_repr.pages.names import UnknownName, choose, find, find_loss, suggestion
from mini_repr.pages.page import KINDS, Page
from mini_repr.pages.registry import all_losses, pages_of, register


def arguments_of(page, **given):
    return page.bind((), given)


def test_operations_take_the_place_of_what_a_definition_calls():
    a, b = np.random.default_rng(0).standard_normal((2, 5, 3))
    given = arguments_of(infonce, a=a, b=b)
    plain = evaluate_definition(infonce, given).data
    assert plain == pytest.approx(float(infonce(a, b).data))
    raw = evaluate_definition(infonce, given, {"unit_rows": lambda x: x}).data
    assert raw == pytest.approx(float(infonce(a, b, normalize=False).data))
    assert evaluate_definition(infonce, given).data == plain, "the page's own definition is unchanged"


def test_operations_reach_the_helpers_of_a_page():
    calls = []

    def watched(x, *args):
        calls.append(1)
        return x

    rows = np.random.default_rng(0).standard_normal((2, 4, 6))
    helpers = [n for n, f in vars(__import__(mrl_kl.__module__, fromlist=["x"])).items() if callable(f)]
    assert "log" in helpers or "softplus" in helpers
    evaluate_definition(mrl_kl, arguments_of(mrl_kl, a=rows[0], b=rows[1]), {"softplus": watched})
    assert calls


def test_a_definition_takes_the_arguments_of_its_page_and_stands_once():
    with pytest.raises(TypeError, match="uniformity: has a definition already"):
        definition(uniformity)(uniformity.literal)
    page = type(uniformity).__new__(type(uniformity))
    page.__dict__ = {**uniformity.__dict__, "literal": None}
    with pytest.raises(TypeError, match="takes other arguments"):
        definition(page)(lambda z, scale: z)
    with pytest.raises(TypeError, match="has no definition"):
        evaluate_definition(page, {})


def test_definition_works_on_tensors_and_arrays():
    z = np.random.default_rng(1).standard_normal((5, 3))
    tensor = Tensor(z, requires_grad=True)
    uniformity.definition(tensor).backward()
    _, gradients = uniformity.definition_and_grad(z)
    np.testing.assert_array_equal(tensor.grad, gradients["z"])
    assert unit_rows(tensor).shape == (5, 3)


def test_pages_are_found_by_kind_and_in_order():
    losses = pages_of("loss")
    assert losses == all_losses() and len(losses) >= 46
    folders = [page.compares for page in losses.values()]
    assert folders == sorted(folders)
    assert set(KINDS) >= {"loss", "metric", "method", "encoder", "optimiser", "mask"}
    with pytest.raises(ValueError, match="a loss named infonce is registered already"):
        register(infonce)


def test_names_are_found_or_the_nearest_is_named():
    assert find_loss("infonce") is infonce and find("loss", "uniformity") is uniformity
    with pytest.raises(UnknownName, match=r"loss 'infonec': no such loss; did you mean 'infonce'\?"):
        find_loss("infonec")
    with pytest.raises(UnknownName, match="no such loss; `mini-repr list` shows what there is"):
        find_loss("zzzzzzzz")
    with pytest.raises(UnknownName):
        choose("loss", None, ["a"])
    assert suggestion("x", ["cpu", "gpu"]) == "; known: cpu, gpu"


def test_a_page_knows_the_paper_that_its_text_names_first():
    vicreg = find_loss("vicreg")  # the catalogue's paper is another one, which uses it
    assert vicreg.own_paper == "Bardes, Ponce, LeCun 2021, arXiv 2105.04906" and vicreg.papers == ("083",)


def test_a_page_says_how_it_is_called():
    assert uniformity.call == "uniformity(z, t=2.0, self_pairs=False, normalize=True, tile=None)"
    assert uniformity.__doc__.startswith(f"{uniformity.call}\n\n{uniformity.own_text[:30]}")


def test_tex_of_a_section_that_is_none_is_refused():
    def page(z):
        """Nothing: a page of the test's."""

    with pytest.raises(TypeError, match="tex: got gradients, expected definition, gradient or both"):
        Page("loss", page, "092", tex={"gradients": "x"})


def test_a_signature_reads_as_show_prints_it():
    text = str(inspect.signature(infonce))
    assert text.startswith("(a: (B>=2, D) float, b: (B>=2, D) float, temperature: (> 0), has a gradient = 0.1, queue: ")
    assert "Rows(" not in text
