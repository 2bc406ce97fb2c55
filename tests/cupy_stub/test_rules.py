"""Single rules of CuPy that the backend relies on."""

import threading

import cupyx
import pytest
import stub

from mini_repr.backend import DeviceError, backend_of, get_backend


def test_failed_factorisations_raise_in_the_block_and_nowhere_else(backend):
    """CuPy keeps the setting for each thread, and takes it up where the block is entered, not where it is made."""
    elsewhere = []
    block = backend.singular_raises()
    assert cupyx.geterr()["linalg"] == "ignore"
    with block:
        assert cupyx.geterr()["linalg"] == "raise"
        other = threading.Thread(target=lambda: elsewhere.append(cupyx.geterr()["linalg"]))
        other.start()
        other.join()
    assert cupyx.geterr()["linalg"] == "ignore" and elsewhere == ["ignore"]


def test_two_devices(backend):
    second = get_backend("gpu:1")
    there = second.asarray([1.0])
    assert get_backend("gpu:0") is backend and backend_of(there) is second and there.device.id == 1
    assert backend.xp.ones(1).device.id == 0
    with pytest.raises(DeviceError, match=r"gpu:2: this machine has 2 GPU\(s\)"):
        get_backend("gpu:2")


def test_repeated_indices_are_added_without_a_wait(backend):
    xp = backend.xp
    stub.reset()
    backend.scatter_add(xp.zeros((5, 3)), xp.zeros(4, dtype=int), xp.ones((4, 3)))
    assert stub.counts()["kernel add_segments"] == 1 and stub.waits() == 0
