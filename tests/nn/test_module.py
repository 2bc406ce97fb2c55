import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.nn import MLP, BatchNorm, Dropout, Linear, Module, Sequential, ViT, copy_of
from mini_repr.pages.registry import pages_of


class Nested(Module):
    def __init__(self, rng):
        self.scale = Tensor(np.float32(2), requires_grad=True)
        self.blocks = [Linear(2, 3, rng), Linear(3, 2, rng, bias=False)]
        self.towers = {"image": BatchNorm(2), "text": Dropout(0.5, rng)}
        self.again = self.blocks[0]
        self.note = "not a parameter"
        self.register_buffer("queue", np.zeros((4, 2), np.float32))

    def forward(self, x):
        return self.towers["text"](self.towers["image"](self.blocks[1](self.blocks[0](x)))) * self.scale


@pytest.fixture
def nested():
    return Nested(np.random.default_rng(0))


def test_names_are_paths_in_order_of_setting_and_shared_modules_count_once(nested):
    assert list(nested.named_parameters()) == [
        "scale",
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.weight",
        "towers.image.gain",
        "towers.image.bias",
    ]
    assert list(nested.named_buffers()) == ["queue", "towers.image.running_mean", "towers.image.running_variance"]
    assert nested.parameter_count() == 1 + 6 + 3 + 6 + 2 + 2
    assert nested.parameters() == list(nested.named_parameters().values())


def test_state_dict_round_trip_in_place(nested):
    state = nested.state_dict()
    other = Nested(np.random.default_rng(1))
    before = {name: p.data for name, p in other.named_parameters().items()}
    other.load_state_dict(state)
    for name, p in other.named_parameters().items():
        assert p.data is before[name]
        np.testing.assert_array_equal(p.data, state[name])
        assert not np.shares_memory(p.data, state[name])
    state["queue"] += 1
    assert not nested.queue.any(), "state_dict copies"
    assert all(type(value) is np.ndarray for value in state.values())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("scale"), "state misses scale"),
        (lambda s: s.update(extra=np.zeros(1)), "state has unexpected extra"),
        (lambda s: s.update(queue=np.zeros((3, 2), np.float32)), r"state queue must have shape \(4, 2\)"),
        (lambda s: s.update(queue=np.zeros((4, 2))), "dtype float32, got .* float64"),
    ],
)
def test_a_wrong_state_is_refused_and_nothing_changes(nested, change, message):
    state = {name: value + 1 for name, value in nested.state_dict().items()}
    change(state)
    before = nested.state_dict()
    with pytest.raises(ValueError, match=message):
        nested.load_state_dict(state)
    for name, value in nested.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_train_and_eval_reach_everything(nested):
    assert nested.eval() is nested
    assert not nested.training and not nested.towers["text"].training
    nested.train()
    assert nested.towers["image"].training


def test_random_state_is_plain_and_restores_the_draws(nested):
    import json

    x = np.random.default_rng(1).standard_normal((8, 2)).astype(np.float32)
    state = json.loads(json.dumps(nested.random_state()))
    assert list(state) == ["towers.text._rng"]
    first, second = nested(x).data, nested(x).data
    assert (first != second).any()
    nested.set_random_state(state)
    np.testing.assert_array_equal(nested(x).data, first)
    with pytest.raises(ValueError, match="random state"):
        nested.set_random_state({})


def test_zero_grad_and_to(nested):
    nested(np.random.default_rng(1).standard_normal((8, 2)).astype(np.float32)).sum().backward()
    assert all(p.grad is not None for p in nested.parameters())
    nested.zero_grad()
    assert all(p.grad is None for p in nested.parameters())
    arrays = [p.data for p in nested.parameters()]
    assert nested.to(CPU) is nested
    assert all(p.data is a for p, a in zip(nested.parameters(), arrays, strict=True)), "nothing moves to where it is"


def test_copy_of_is_frozen_and_apart():
    rng = np.random.default_rng(0)
    student = Sequential(Linear(3, 4, rng), BatchNorm(4))
    student(rng.standard_normal((5, 3)).astype(np.float32)).sum().backward()
    teacher = copy_of(student)
    assert list(teacher.named_parameters()) == list(student.named_parameters())
    for name, p in teacher.named_parameters().items():
        assert not p.requires_grad and p.grad is None
        assert not np.shares_memory(p.data, student.named_parameters()[name].data)
    mean = student.named_buffers()["layers.1.running_mean"].copy()
    teacher(np.ones((5, 3), np.float32))
    np.testing.assert_array_equal(student.named_buffers()["layers.1.running_mean"], mean)
    assert student.parameters()[0].requires_grad and student.parameters()[0].grad is not None


@pytest.mark.parametrize("encoder", pages_of("encoder").values(), ids=repr)
def test_encoders_follow_their_seed_and_stay_float32(encoder):
    table = load("clicks", count=40).train
    shape = {"images": ((1, 8, 8),), "tables": (table,)}.get(encoder.thing.takes, ())
    one, same, other = (encoder.thing(*shape, np.random.default_rng(seed)) for seed in (3, 3, 4))
    for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    assert all(value.dtype == np.float32 for value in one.state_dict().values())
    if encoder.thing.takes == "images":
        inputs = (np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32),)
    elif encoder.thing.takes == "tables":
        inputs = (table.rows[:3],)
    else:
        inputs = one.tokenise(["one two", "three", "four five six"])
    pooled = one(*inputs).pooled
    assert pooled.shape == (3, one.width) and pooled.dtype == np.float32
    (pooled * pooled).sum().backward()
    reached = [p for p in one.parameters() if p.grad is not None]
    # A denoiser's features come from the middle of it.
    assert encoder.name == "denoiser" or len(reached) == len(list(one.parameters()))
    assert reached and all(p.grad.dtype == np.float32 and p.grad.shape == p.shape for p in reached)


def test_dropout_does_not_change_the_weights_that_a_seed_gives():
    with_dropout, without = (ViT((1, 8, 8), np.random.default_rng(0), dropout=rate) for rate in (0.1, 0.0))
    for a, b in zip(with_dropout.parameters(), without.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        Module()(1)


def test_mlp_names_are_stable():
    names = list(MLP((3, 4, 2), np.random.default_rng(0), norm="batch").named_parameters())
    assert names == ["linears.0.weight", "linears.1.weight", "linears.1.bias", "norms.0.gain", "norms.0.bias"]
