"""Data-parallel training over MPI: ``mpiexec -n 4 mini-repr train ...`` gives what one rank gives on the whole batch.

Every rank holds the same parameters, draws the same random numbers, and embeds its own share of each batch. The loss
is that of the *whole* batch. One rule says how gradients add up:

* Below the rows, each rank has run the backward pass of its own rows only: parameter gradients are parts of a sum.
* At the rows and above, each rank has the whole: the loss, and its gradient for its own rows and for the parameters of
  the objective (a learned temperature). These are the same on every rank; averaging them keeps their bits equal.

Read ``world.py`` (what is asked of MPI), ``sharding.py`` (how a batch is divided and its gradients summed), then the
computations that talk while they run: ``ring.py`` (rows that travel) with the losses ``ring_X.py``, ``columns.py``
(sums over columns) with ``batch_norm.py`` and the losses ``X_over_ranks.py``. ``over_ranks.py`` lists these losses.
"""

from mini_repr.training.distributed.sharding import BatchSharding
from mini_repr.training.distributed.world import ALONE, joined
