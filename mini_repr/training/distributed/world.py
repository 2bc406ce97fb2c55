"""The few things that training asks of MPI. mpi4py is imported only in a program that ``mpiexec`` started."""

import ctypes
import math
import os
import sys
import threading
import time
import traceback
from contextlib import contextmanager

import numpy as np

from mini_repr.backend import CPU, DeviceError, backend_of, get_backend, gpu_count, out_of_memory

# What the launchers of Open MPI, MPICH and its kin, MVAPICH and Slurm tell their processes: how many they are, and
# which of them this one is.
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
)
BUCKET_BYTES = 4 * 2**20
# Seconds that a rank waits for the others before it ends the run, unless the environment says otherwise (0: for ever).
# Longer than what the first rank does alone: writing checkpoints, looking for neighbours.
LIMIT_NAME, LIMIT = "MINI_REPR_MPI_TIMEOUT", 1800.0
# How long a rank waits before it reports its own error: rank 0 meets most errors too, and its word is enough.
_PATIENCE = 1.0


class Alone:
    """One rank, nobody to talk to. Also the face of ``World``."""

    rank = 0
    size = 1
    is_first = True
    transport = "no messages"

    def device(self, name):
        """The backend that this rank computes on, for the device that the user named."""
        return get_backend(name)

    def near(self, ranks):
        """The world of the ``ranks`` neighbouring ranks to which this one belongs; ``ranks`` divides ``size``."""
        return self

    def from_first(self, value):
        """Rank 0's ``value``, any Python object, on every rank."""
        return value

    def gather(self, array):
        """The rows (n, ...) of every rank, in the order of ranks: (size * n, ...)."""
        return array

    def sum(self, array):
        """The sum of an array over ranks, in a new array; every rank gets the same bits."""
        return array

    def total(self, array):
        """The sum over ranks of all elements of an array, 0-d."""
        return self.sum(array.sum()[None])[0]

    def sum_in_place(self, arrays):
        """The sums of many arrays of one dtype, each as ``sum`` gives it, written over them."""

    def pass_on(self, arrays):
        """Hand arrays to the next rank and return those of the rank before, of the same shapes."""
        return arrays


class World(Alone):
    """The ranks of an MPI communicator (mpi4py's ``Intracomm``).

    Arrays on a GPU go to MPI as they are if it can read device memory, else through the host.
    """

    def __init__(self, comm):
        from mpi4py import MPI

        self._mpi, self._comm = MPI, comm
        self.rank, self.size = comm.rank, comm.size
        self.is_first = self.rank == 0
        self._reads_devices = _reads_devices()
        self._staged = True
        self._waiting = _Watch(comm).waiting_for

    @property
    def transport(self):
        """Where messages lie, in words."""
        return "messages staged through the host" if self._staged else "messages straight from device memory"

    def device(self, name):
        """As ``Alone.device``; ``gpu`` gives every rank of a machine a GPU of its own.

        Raises:
            DeviceError: a machine has more ranks than GPUs.
        """
        with self._waiting("the devices of all ranks"):
            here = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
            if name == "auto":
                # All ranks take what all of them can have: a mixed run would be as slow as its slowest.
                name = "gpu" if self._comm.allreduce(int(_has_gpu(here)), self._mpi.MIN) else "cpu"
        if name.partition(":")[0] == "gpu":
            if ":" in name and here.size > 1:
                raise DeviceError(f"device {name}: one GPU for {here.size} ranks; expected gpu, one for each rank")
            with self._waiting("the devices of all ranks"):
                backend = get_backend(name) if ":" in name else _own_gpu(here)
            self._staged = not self._reads_devices
            return backend
        return get_backend(name)

    def near(self, ranks):
        if ranks == self.size:
            return self
        with self._waiting("its group of ranks"):
            world = World(self._comm.Split(self.rank // ranks))
        world._staged = self._staged
        return world

    def from_first(self, value):
        with self._waiting("a word of the first rank"):
            return self._comm.bcast(value, root=0)

    def gather(self, array):
        source = self._outgoing(array)
        target = self._like(array, source, (self.size * len(array), *array.shape[1:]))
        with self._waiting(f"rows {source.shape} of all ranks"):
            self._comm.Allgather(source, target)
        return self._incoming(array, target)

    def sum(self, array):
        source = self._outgoing(array)
        target = self._like(array, source, source.shape)
        with self._waiting(f"a sum {source.shape} over all ranks"):
            self._comm.Allreduce(source, target)
        return self._incoming(array, target)

    def sum_in_place(self, arrays):
        # Each bucket is on its way while the next one is packed.
        sent = []
        for bucket in _buckets(arrays):
            xp = backend_of(*bucket).xp
            source = self._outgoing(xp.concatenate([array.reshape(-1) for array in bucket]))
            target = self._like(bucket[0], source, source.shape)
            sent.append((bucket, source, target, self._comm.Iallreduce(source, target)))
        for bucket, _, target, request in sent:
            with self._waiting("the sum of gradients over all ranks"):
                request.Wait()
            flat, start = self._incoming(bucket[0], target), 0
            for array in bucket:
                array[...] = flat[start : start + array.size].reshape(array.shape)
                start += array.size

    def pass_on(self, arrays):
        sources = [self._outgoing(array) for array in arrays]
        targets = [self._like(array, source, source.shape) for array, source in zip(arrays, sources, strict=True)]
        after, before = (self.rank + 1) % self.size, (self.rank - 1) % self.size
        requests = [self._comm.Irecv(target, before, tag) for tag, target in enumerate(targets)]
        requests += [self._comm.Isend(source, after, tag) for tag, source in enumerate(sources)]
        with self._waiting(f"rows {sources[0].shape} of rank {before} or a sign of rank {after}"):
            self._mpi.Request.Waitall(requests)
        return [self._incoming(array, target) for array, target in zip(arrays, targets, strict=True)]

    def give_up(self, error, code):
        """Report an error on one line and end all ranks."""
        if not self.is_first:
            time.sleep(_PATIENCE)
        _report(error, self.rank)
        self._comm.Abort(code)

    def _outgoing(self, array):
        """What MPI is given to read: contiguous, complete, on the host where MPI cannot read the device."""
        backend = backend_of(array)
        array = backend.xp.ascontiguousarray(array)
        if backend is CPU:
            return array
        if self._staged:
            return np.ascontiguousarray(backend.to_numpy(array))
        backend.synchronize()
        return array

    def _like(self, array, source, shape):
        """Room for a message of ``shape``, where ``source``, the outgoing form of ``array``, lies."""
        xp = np if isinstance(source, np.ndarray) else backend_of(array).xp
        return xp.empty(shape, dtype=source.dtype)

    def _incoming(self, array, message):
        """A message on the device of ``array``."""
        return backend_of(array).asarray(message)


class _Watch:
    """Ends a run in which a rank waits too long for others, with one line that says which rank, and for what.

    A thread looks now and then: MPI's calls know no end, and mpi4py lets other threads run during them.
    """

    def __init__(self, comm):
        self._comm, self._limit, self._entry = comm, _limit(), None
        if self._limit:
            threading.Thread(target=self._look, daemon=True).start()

    @contextmanager
    def waiting_for(self, what):
        self._entry = what, time.monotonic()
        try:
            yield
        finally:
            self._entry = None

    def _look(self):
        while True:
            time.sleep(min(self._limit / 10, 1.0))
            what, since = self._entry or (None, math.inf)
            if time.monotonic() - since > self._limit:
                rank, size = self._comm.rank, self._comm.size
                print(
                    f"Error: rank {rank} of {size}: waited {self._limit:g} s for {what}: a rank is stuck or far "
                    f"behind; {LIMIT_NAME} is the limit in seconds, 0 for none",
                    file=sys.stderr,
                    flush=True,
                )
                self._comm.Abort(1)


def _limit():
    """The limit of the environment in seconds."""
    chosen = os.environ.get(LIMIT_NAME, "")
    try:
        limit = float(chosen or LIMIT)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise ValueError(f"{LIMIT_NAME}: got {chosen!r}, expected seconds, such as {LIMIT:g}, or 0 for no limit")
    return limit


ALONE = Alone()


@contextmanager
def joined():
    """The world of this process for the length of a block; an error in it, on any rank, ends all ranks.

    Without ``mpiexec`` this is ``ALONE``, and errors pass. Under it: one line says what went wrong, on the first rank
    if it happened there too, and all leave with exit code 2 for a wrong use, 130 for an interrupt and 1 for the rest.

    Raises:
        ValueError: started by ``mpiexec`` without mpi4py.
    """
    world = _join()
    if world is ALONE:
        yield world
        return
    try:
        yield world
    except BaseException as error:
        world.give_up(error, _exit_code(error))
        raise


def _join():
    launched, rank = next(
        ((int(os.environ[size]), int(os.environ.get(rank, 0))) for size, rank in _LAUNCHERS if size in os.environ),
        (1, 0),
    )
    if launched == 1:
        return ALONE
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py is there, an MPI library is not
        if rank:
            time.sleep(_PATIENCE)
        problem = " ".join(str(error).split())
        raise ValueError(
            f"started as {launched} ranks, but mpi4py cannot be used ({problem}); pip install 'mini-repr[mpi]'"
        ) from None
    if MPI.COMM_WORLD.size != launched:
        raise ValueError(
            f"the launcher started {launched} ranks, mpi4py sees {MPI.COMM_WORLD.size}: mpiexec and mpi4py belong to "
            "different MPI libraries"
        )
    return World(MPI.COMM_WORLD)


def _exit_code(error):
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, KeyboardInterrupt):
        return 130
    wrong_use = isinstance(error, ValueError | OSError) or out_of_memory(error)
    return getattr(error, "exit_code", 2 if wrong_use else 1)


def _report(error, rank):
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return
    if not (isinstance(error, ValueError | OSError | RuntimeError) or out_of_memory(error)):
        traceback.print_exception(error)
    where = f"rank {rank}: " if rank else ""
    text = out_of_memory(error) or getattr(error, "message", None) or str(error) or type(error).__name__
    print(f"Error: {where}{' '.join(text.split())}", file=sys.stderr, flush=True)


def _buckets(arrays):
    """Lists of arrays, in order, of about ``BUCKET_BYTES`` each."""
    bucket, held = [], 0
    for array in arrays:
        bucket.append(array)
        held += array.nbytes
        if held >= BUCKET_BYTES:
            yield bucket
            bucket, held = [], 0
    if bucket:
        yield bucket


def _own_gpu(here):
    """The backend of a GPU that no other of the ranks ``here``, on this machine, has."""
    problem = backend = None
    try:
        # A launcher shows each rank all GPUs of the machine, or one that is then number 0 on every rank.
        backend = get_backend(f"gpu:{here.rank % gpu_count()}")
    except DeviceError as error:
        problem = error
    found = len(set(here.allgather(backend and backend.hardware())))
    if problem:
        raise problem
    if found < here.size:
        raise DeviceError(f"device gpu: {found} GPU(s) for {here.size} ranks on this machine, each of which needs one")
    return backend


def _has_gpu(here):
    try:
        _own_gpu(here)
    except DeviceError:
        return False
    return True


def _reads_devices():
    """Whether the MPI library says that it reads CUDA memory (``MPIX_Query_cuda_support``; without it: no)."""
    from mpi4py import MPI

    try:
        return bool(ctypes.CDLL(MPI.__file__).MPIX_Query_cuda_support())
    except (AttributeError, OSError):
        return False
