"""Flow matching as a method: its step by hand, what time and condition do, drawing, and what is refused."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.autograd import Tensor
from mini_repr.cli import main
from mini_repr.data import ImageSet, load
from mini_repr.data.dataset import Dataset
from mini_repr.losses.reconstruction.flow_matching import flow_matching
from mini_repr.methods import Batch, build_method
from mini_repr.nn import patchify
from mini_repr.nn.denoiser import Denoised
from mini_repr.standins import scenes_flow
from mini_repr.training import config, session

DATA = load("digits")
IMAGES, LABELS = DATA.train.images[:6], DATA.train.labels[:6]
SMALL = {"name": "denoiser", "width": 16, "depth": 2, "heads": 2, "patch": 4}


def flow(data=DATA, **sections):
    chosen = config.merge({"method": {"name": "flow", "views": ""}, "encoder": SMALL}, sections)
    return build_method(config.resolve(chosen), data, np.random.default_rng(0))


def awake(method):
    """With outputs and gates that say something: they start at zero."""
    rng = np.random.default_rng(1)
    for module in (method, method.teacher_encoder):
        for parameter in module.named_parameters().values():
            parameter.data += 0.1 * rng.standard_normal(parameter.shape).astype(np.float32)
    return method


def test_a_step_is_the_loss_of_its_own_mixtures():
    method = awake(flow())
    step = method.step(Batch((IMAGES, LABELS)), np.random.default_rng(3))
    images, noise, times, classes = method.sample(IMAGES, LABELS, np.random.default_rng(3))
    np.testing.assert_array_equal(images, 2 * IMAGES - 1)
    mixed = np.stack([(1 - t) * x + t * n for t, x, n in zip(times, images, noise, strict=True)]).astype(np.float32)
    prediction = method.encoder.denoise(mixed, times, method.conditions(classes)).patches
    expected = flow_matching(prediction, patchify(images, 4), patchify(noise, 4))
    np.testing.assert_allclose(step.total.data, expected.data, rtol=1e-5)
    assert step.embeddings.shape == (6, 4 * 16)


def test_a_new_denoiser_says_nothing_whatever_it_is_told():
    method = flow()
    output = method.encoder.denoise(2 * IMAGES - 1, np.linspace(0, 1, 6), method.conditions(LABELS)).patches
    np.testing.assert_array_equal(output.data, 0)


def test_time_and_condition_change_what_it_says_of_their_image_alone():
    method = awake(flow())
    times, classes = np.full(6, 0.4), np.arange(6)

    def says(times=times, classes=classes):
        return method.encoder.denoise(2 * IMAGES - 1, times, method.conditions(classes)).patches.data

    for other in (says(times=np.r_[0.9, times[1:]]), says(classes=np.r_[7, classes[1:]])):
        changed = np.abs(other - says()).max(axis=(1, 2))
        assert changed[0] > 1e-3 and not changed[1:].any()


def test_a_share_of_the_images_goes_without_a_class():
    method = flow(method={"unlabelled": 0.5})
    many = np.repeat(LABELS, 100)
    *_, classes = method.sample(np.repeat(IMAGES, 100, axis=0), many, np.random.default_rng(0))
    hidden = classes == 10
    assert 0.42 < hidden.mean() < 0.58 and (classes[~hidden] == many[~hidden]).all()


@pytest.mark.parametrize("predicts", ["velocity", "towards_data", "noise", "clean"])
def test_whatever_is_predicted_a_perfect_denoiser_leads_back_to_its_image(predicts):
    """With one image in the world all of the four are known, and the way from any noise ends there."""
    method = flow(loss={"predicts": predicts})
    world = 2 * IMAGES[:1] - 1

    def perfect(noised, times, condition):
        t = max(float(times[0]), 1e-6)
        noise = (noised - (1 - t) * world) / t
        known = {"clean": np.broadcast_to(world, noised.shape), "noise": noise}
        known |= {"velocity": noise - world, "towards_data": world - noise}
        return Denoised(Tensor(patchify(known[predicts], 4)))

    method.teacher_encoder.denoise = perfect
    noise = np.random.default_rng(5).standard_normal((3, 1, 8, 8))
    drawn = method.draw(noise, steps=400)
    np.testing.assert_allclose(drawn, np.broadcast_to(IMAGES[:1], drawn.shape), atol=0.03)


def test_guidance_goes_beyond_what_the_class_says():
    method, x = awake(flow()), np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)
    classes, none = np.array([3, 4]), np.array([10, 10])
    told, free = (method.velocity(x, 0.7, c) for c in (classes, none))
    assert np.abs(told - free).max() > 1e-3
    np.testing.assert_allclose(method.velocity(x, 0.7, classes, 3.0), free + 3 * (told - free), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(method.velocity(x, 0.7, none, 3.0), free)


def test_what_is_put_in_before_a_step_takes_the_place_of_the_image():
    method, noise = awake(flow()), np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)
    seen = []

    def half(k, t, x):
        seen.append((k, t))
        return 0 * x

    drawn = method.draw(noise, steps=4, before_step=half)
    assert seen == [(0, 1.0), (1, 0.75), (2, 0.5), (3, 0.25)]
    v = method.velocity(0 * noise, 0.25, np.array([10, 10]))
    np.testing.assert_allclose(drawn, np.clip((1 - v / 4) / 2, 0, 1), rtol=1e-5, atol=1e-6)


def test_the_average_follows_the_weights_at_once_and_then_slowly():
    method = awake(flow())
    name = "outputs.weight"
    now, average = (m.named_parameters()[name] for m in (method.encoder, method.teacher_encoder))
    for step, momentum in ((0, 0.1), (90, 0.91), (10_000, 0.995)):
        before = average.data.copy()
        method.after_step(step, 20_000)
        np.testing.assert_allclose(average.data, momentum * before + (1 - momentum) * now.data, rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("flow") / "run"
    chosen = {"method": {"name": "flow"}, "encoder": SMALL, "train": {"epochs": 2, "batch_size": 128}}
    run, folder = session.start(chosen, out)
    for _ in session.remaining_epochs(run, folder):
        pass
    session.finish(run, folder)
    return out


def sampled(*arguments):
    return CliRunner().invoke(main, ["sample", *map(str, arguments)])


def test_train_without_a_loss_takes_its_own_and_no_views(trained):
    settings = session.stored_settings(session.open_folder(trained))[0]
    assert settings["loss"]["name"] == "flow_matching" and settings["method"]["views"] == ""
    assert "alignment" in session.compare(*session.opened(trained))["trained"]


def test_samples_of_every_class_in_turn_the_same_for_one_seed(trained, tmp_path):
    files = [tmp_path / f"{k}.npz" for k in range(3)]
    for file, seed in zip(files, (0, 0, 1), strict=True):
        result = sampled(trained, "--out", file, "--count", 12, "--steps", 3, "--seed", seed)
        assert result.exit_code == 0, result.output
    one, same, other = (np.load(file) for file in files)
    assert one["images"].shape == (12, 1, 8, 8) and list(one["names"]) == [*map(str, range(10)), "0", "1"]
    assert one["images"].min() >= 0 and one["images"].max() <= 1
    np.testing.assert_array_equal(one["images"], same["images"])
    assert (one["images"] != other["images"]).any()


def test_a_picture_of_samples(trained, tmp_path):
    pytest.importorskip("matplotlib")
    result = sampled(trained, "--out", tmp_path / "drawn.png", "--count", 12, "--steps", 2, "--label", "7")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_while_it_trains_change_nothing_and_resume_to_the_bit(tmp_path):
    pytest.importorskip("matplotlib")
    states, pictures = {}, {}
    for name, every, epochs in (("plain", 0, 4), ("whole", 2, 4), ("broken", 2, 1)):
        train = {"epochs": 4, "batch_size": 512, "sample_every": every}
        chosen = {"method": {"name": "flow"}, "encoder": SMALL, "train": train}
        run, home = session.start(chosen, tmp_path / name)
        for record in session.remaining_epochs(run, home):
            if record["epoch"] == epochs:
                break
        home.close()
        if name == "broken":
            run, home = session.resume(tmp_path / name, {})
            for _ in session.remaining_epochs(run, home):
                pass
            home.close()
        states[name] = run.method.state_dict()
        pictures[name] = {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.png")}
    for name in ("whole", "broken"):
        for key, array in states["plain"].items():
            np.testing.assert_array_equal(states[name][key], array)
    assert pictures["plain"] == {} and sorted(pictures["whole"]) == ["samples-0002.png", "samples-0004.png"]
    assert pictures["broken"] == pictures["whole"] and len(set(pictures["whole"].values())) == 2


def test_pictures_of_what_draws_nothing_are_refused():
    with pytest.raises(ValueError, match=r"train.sample_every: got 1, expected 0: method simclr draws no images"):
        session.prepare({"loss": {"name": "infonce"}, "train": {"sample_every": 1}})


def test_pictures_without_their_extra_are_refused_before_a_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    chosen = {"method": {"name": "flow"}, "encoder": SMALL, "train": {"epochs": 1, "sample_every": 1}}
    with pytest.raises(ValueError, match="a picture needs matplotlib: pip install"):
        session.start(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_dispersive_acts_on_the_tokens_inside(tmp_path):
    method = awake(flow(add={"dispersive": {"weight": 0.5}}))
    step = method.step(Batch((IMAGES, LABELS)), np.random.default_rng(3))
    images, noise, times, classes = method.sample(IMAGES, LABELS, np.random.default_rng(3))
    t = times[:, None, None, None].astype(np.float32)
    noised = (1 - t) * images + t * noise
    (tokens,) = method.encoder.denoise(noised, times, method.conditions(classes), (1,)).layers
    (page, _, own), rows = method.objective.added[0], tokens.data.reshape(6, -1)
    np.testing.assert_allclose(step.total.terms["dispersive"], page(rows, **own).data, rtol=1e-4)


def test_without_labels_it_draws_from_all_images(tmp_path):
    images = ImageSet("plain", IMAGES)
    method = awake(flow(Dataset("plain", images, images)))
    assert method.classes == () and len(method.conditions.weight) == 1
    assert method.draw(np.zeros((2, 1, 8, 8), np.float32), steps=2).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--label", "seven"], "label 'seven': no such label; known: 0, 1"),
        (["--steps", "0"], "'--steps': 0 is not in the range"),
        (["--out", "no/such/folder/x.npz"], "no/such/folder/x.npz: cannot be written"),
    ],
)
def test_wrong_samples_are_one_line(trained, tmp_path, arguments, words):
    result = sampled(trained, "--out", tmp_path / "x.npz", *arguments)
    assert result.exit_code == 2 and words in result.output, result.output


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "expected --caption TEXT"),
        (["--caption", "a seven near a two"], "unknown word 'near'"),
        (["--caption", "seven seven"], "'seven seven' is no caption"),
        (["--caption", "a seven", "--label", "7"], "--label and --device are for runs"),
    ],
)
def test_a_caption_that_is_none_is_refused_before_anything_is_trained(tmp_path, monkeypatch, arguments, words):
    monkeypatch.setenv("MINI_REPR_STANDINS", str(tmp_path / "none"))
    result = sampled("scenes-flow", "--out", tmp_path / "x.npz", *arguments)
    assert result.exit_code == 2 and words in result.output and not (tmp_path / "none").exists()


def test_a_caption_is_drawn_by_the_stand_in(tmp_path, monkeypatch):
    small = scenes_flow.make(0, width=16, depth=1, heads=2).eval()
    monkeypatch.setattr("mini_repr.standins.get", lambda name: small)
    caption = ["--caption", "a seven left of a two", "--count", 3, "--steps", 2]
    for more in ([], ["--follow"]):
        result = sampled("scenes-flow", "--out", tmp_path / "x.npz", *caption, *more)
        assert result.exit_code == 0 and "3 images 1 x 16 x 16, 2 steps, guidance 2" in result.output
        assert np.load(tmp_path / "x.npz")["images"].shape == (3, 1, 16, 16)


def test_other_encoders_and_other_runs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="method flow: got encoder vit, expected --encoder denoiser"):
        flow(encoder={"name": "vit"})
    chosen = {"encoder": {"name": "linear"}, "train": {"epochs": 1, "batch_size": 512}}
    _, folder = session.start(chosen, tmp_path / "other")
    folder.close()
    result = sampled(tmp_path / "other", "--out", tmp_path / "x.npz")
    assert result.exit_code == 2 and "draws no images, expected one of --method flow" in result.output
    result = sampled(tmp_path / "other", "--out", tmp_path / "x.npz", "--caption", "a seven")
    assert result.exit_code == 2 and "--caption and --follow are for scenes-flow" in result.output
