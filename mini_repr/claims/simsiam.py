"""SimSiam: without the stop-gradient it collapses; with it, it does not.

Chen, He 2021, arXiv 2011.10566, figure 2: the same networks with and without stop-gradient. Without it the loss falls
to its least value, -1, the deviation of unit outputs by dimension goes to 0 (*spread*: 1 where they are uniform on the
sphere), and nearest neighbours tell less. Without stop-gradient D(p, z) has a gradient for z too: cosine being
symmetric, that is the page's loss once more with predictions and projections exchanged.
"""

from mini_repr.autograd import stop_gradient
from mini_repr.backend import CPU
from mini_repr.claims.bench.bootstrap import bootstrapped
from mini_repr.claims.bench.claim import Claim, above, below, higher
from mini_repr.claims.bench.trained import scores
from mini_repr.data import load
from mini_repr.losses.teachers.negative_cosine import negative_cosine
from mini_repr.methods import encode
from mini_repr.metrics import dimension_std


def measure(seed):
    data = load("digits")
    arms = {}
    for arm in ("stop-gradient", "no stop-gradient"):
        last = []

        def loss_of(predictions, projections, arm=arm, last=last):
            loss = negative_cosine(*predictions, *map(stop_gradient, projections))
            last[:] = [float(loss.data)]
            if arm == "no stop-gradient":
                (p1, p2), (z1, z2) = predictions, projections
                loss = loss + negative_cosine(z2, z1, stop_gradient(p2), stop_gradient(p1))
            return loss

        encoder, projector = bootstrapped(data.train, loss_of, seed, teachers=0)
        projector.eval()
        spread = dimension_std(projector(encode(encoder, data.test.images, CPU)).data)
        arms[arm] = {"loss": last[0], "spread": spread, **scores(encoder, data)}
    return arms


CLAIM = Claim(
    paper="067",
    says="without the stop-gradient the deviation by dimension collapses, with it it does not",
    measure=measure,
    expects=(
        below("spread", "no stop-gradient", 0.1),
        above("spread", "stop-gradient", 0.5),
        higher("knn", "stop-gradient", "no stop-gradient", by=0.01),
    ),
    seeds=8,
)
