"""A soft prompt: what is learnt, what stays, and the two terms of information."""

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, load
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.scores.prompt_information import prompt_information
from mini_repr.methods import Batch, build_method
from mini_repr.optim import AdamW
from mini_repr.training import config

WHOLE = load("topics", kind="sentences", count=60, length=9)
DATA = Dataset("f", WHOLE.train.take(np.arange(24)), WHOLE.test.take(np.arange(8)))
ENCODER = {"name": "text_transformer", "width": 16, "depth": 2, "heads": 2, "buckets": 64, "prompt": 3}
LEARNT = {"encoder.prompt"} | {
    f"{name}.{part}" for name in ("mean", "log_std", "output", "context") for part in ("weight", "bias")
}


def method_for(encoder=ENCODER, data=DATA, **own):
    chosen = {
        "encoder": encoder,
        "method": {"name": "infoprompt", "latent": 5, "draws": 4, **own},
        "loss": {"name": "cross_entropy"},
    }
    made = build_method(config.resolve(chosen, "sentences"), data, np.random.default_rng(0))
    return made, Batch(made.load(data.train, CPU), data.train.labels, np.arange(24))


def test_the_loss_has_both_terms():
    method, batch = method_for(head_weight=0.3, representation_weight=0.6)
    method.log_std.weight.data += 0.01
    ids, mask, noise = inputs = method.sample(*batch.inputs, np.random.default_rng(0))
    step = method.compare(method.embed(*inputs), method.targets(*inputs), batch, method.objective)
    pooled, plain = (method.encoder(ids, mask, prompted=p).pooled.data for p in (True, False))
    gaussians = [(method.mean(h).data, method.log_std(h).data) for h in (pooled, plain)]
    (mean, log_std), (other_mean, other_std) = gaussians
    z = method.output(mean + noise[:, 0] * np.exp(log_std)).data
    vectors, prompt, words = method.classes.weight.data, method.encoder.prompt.data, method.encoder.words.weight.data
    expected = cross_entropy(z @ vectors, batch.labels).data
    c = vectors.mean(axis=1) / 4
    head = [
        prompt_information(np.array([prompt.mean(axis=0) @ c]), (words[row[kept]] @ c)[None]).data
        for row, kept in zip(ids, mask, strict=True)
    ]
    d = method.context(prompt.mean(axis=0)[None]).data[0] / 4
    others = np.stack(
        [method.output(other_mean + noise[:, k] * np.exp(other_std)).data @ d for k in range(1, 5)], axis=1
    )
    expected = expected + 0.3 * np.mean(head) + 0.6 * prompt_information(z @ d, others).data
    kl = [np.mean(0.5 * (np.exp(2 * s) + m**2 - 1) - s) for m, s in gaussians]
    assert float(step.total.data) == pytest.approx(float(expected + 0.1 * sum(kl)), rel=1e-5)


def test_only_the_prompt_and_the_head_move():
    method, batch = method_for()
    assert set(method.trained_parameters()) == LEARNT | {"classes.weight"}
    before = method.state_dict()
    optimizer = AdamW(method.trained_parameters(), 3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        total = method.step(batch, np.random.default_rng(0)).total
        total.backward()
        optimizer.step()
        losses.append(float(total.data))
    assert losses[-1] < losses[0]
    moved = {name for name, array in method.state_dict().items() if not np.array_equal(array, before[name])}
    assert moved == LEARNT | {"classes.weight"}


def test_the_context_of_the_representation_gives_the_prompt_no_gradient():
    method, batch = method_for()
    inputs = method.sample(*batch.inputs, np.random.default_rng(0))
    others = method.embed(*inputs)[4]
    others.sum().backward()
    assert method.encoder.prompt.grad is None and method.context.weight.grad is not None


def test_without_a_prompt_there_is_nothing_to_learn():
    with pytest.raises(ValueError, match="method infoprompt: the encoder has no prompt to learn, expected --set"):
        method_for({**ENCODER, "prompt": 0})
    with pytest.raises(ValueError, match="method infoprompt: needs words to hide, expected --encoder text_transformer"):
        method_for({"name": "text", "width": 8})
