"""The three examples in ``scripts/`` run and do what they say."""

import importlib.util
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def example(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def losses_of(output):
    return [float(line.rpartition("loss ")[2]) for line in output.splitlines() if "loss " in line]


def test_a_training_loop_by_hand(capsys):
    example("loop_by_hand").main()
    output = capsys.readouterr().out
    losses = losses_of(output)
    assert len(losses) == 5 and losses[-1] < losses[0] - 0.5
    assert float(output.splitlines()[-1].rpartition(" ")[2]) > 0.9


@pytest.mark.crosscheck
def test_a_loss_on_torch_tensors(capsys):
    torch = pytest.importorskip("torch")
    module = example("torch_tensors")
    module.main()
    losses = losses_of(capsys.readouterr().out)
    assert losses == sorted(losses, reverse=True)

    a, b = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: module.on_torch(module.infonce, a, b, temperature=0.3), (a, b))


@pytest.mark.parametrize("name", ["test_uniformity", "test_a_slip_is_found_and_named"])
def test_a_check_in_ones_own_tests(name):
    getattr(example("check_in_tests"), name)()
