"""cMIM: a contrast of codes makes an information machine's rows better, and the decoder's hidden rows are better still.

Livne 2025, arXiv 2502.19642. Images of digits into random codes of 8 numbers and back (encoder: an MLP, 64-256-64;
decoder 8-64-64; deviation of pixels 0.5), 100 epochs: a *VAE*, a mutual information machine (*MIM*), and MIM with the
contrast of weight 1 (*cMIM*). Few labels: accuracy on test rows of a linear probe with ten labels per class; all
labels; of the *code*'s mean and of the decoder's hidden row that decodes it (*informative*). *error*: mean square of
test images decoded from the mean. Learning rate: for each arm the best of three (3e-3, 1e-2, 3e-2) by few labels of
the code on a fifth of the training rows, on a seed beyond those counted; cMIM's temperature, 1, likewise, of 0.1 and 1.
Tried before: 40 epochs, which are too few for all three. Batch sizes, to which cMIM is said to be indifferent, are not
compared.
"""

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, Expectation, higher, lower
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load
from mini_repr.methods import encode
from mini_repr.metrics import few_label_probe, linear_probe

ENCODER = {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}
METHOD = {"name": "variational", "code": 8, "hidden": 64}
ARMS = {
    "VAE": {"loss": {"name": "a_mim", "form": "vae"}},
    "MIM": {"loss": {"name": "a_mim"}},
    "cMIM": {"loss": {"name": "a_mim"}, "add": {"cmim_contrast": {"weight": 1.0, "temperature": 1.0}}},
}
RATES = {"VAE": 3e-2, "MIM": 3e-2, "cMIM": 1e-2}


def measured(arm, data, seed, lr):
    run = trained(
        seed, data=data, method=METHOD, encoder=ENCODER, train={"epochs": 100}, optimizer={"lr": lr}, **ARMS[arm]
    )
    method, labels = run.method, (data.train.labels, data.test.labels)
    found = {}
    for name, module in method.further_rows().items():
        train, test = (encode(module, part.images, CPU) for part in (data.train, data.test))
        found[f"few labels, {name}"] = few_label_probe(train, labels[0], test, labels[1])[0]
        found[f"all labels, {name}"] = linear_probe(train, labels[0], test, labels[1])
        if name == "code":
            with no_grad():
                rebuilt = method.decoder(test).data
    found["error"] = float(((rebuilt - data.test.images.reshape(rebuilt.shape)) ** 2).mean())
    return found


def measure(seed):
    return {arm: measured(arm, load("digits"), seed, lr) for arm, lr in RATES.items()}


def informative_gain(arms):
    return arms["cMIM"]["few labels, informative"] - arms["cMIM"]["few labels, code"]


CLAIM = Claim(
    paper="032",
    says="a contrast of codes makes an information machine's rows better, and its decoder's hidden rows better still",
    measure=measure,
    expects=(
        higher("few labels, code", "cMIM", "MIM"),
        higher("few labels, informative", "cMIM", "MIM"),
        Expectation("few labels: of cMIM informative > code", informative_gain),
        lower("error", "MIM", "VAE"),
        Expectation(
            "error: cMIM no higher than MIM by 0.002", lambda arms: arms["MIM"]["error"] - arms["cMIM"]["error"], -0.002
        ),
    ),
    seeds=8,
    designs=2,
)
