import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import mini_repr
from mini_repr.training import checkpoint
from mini_repr.training.checkpoint import CheckpointError, load, save

META = {"step": 7, "rng": {"state": 2**127 + 12345, "inc": -(2**130)}, "loss": [0.1, None, True], "note": "µ \n {}"}


def make_arrays():
    generator = np.random.default_rng(0)
    arrays = {
        "encoder.blocks.0/weight": generator.normal(size=(4, 3)).astype("float32"),
        "scalar": np.array(-0.0),
        "empty": np.zeros((0, 5)),
        "special": np.array([np.nan, np.inf, -np.inf, 5e-324]),
        "fortran": np.asfortranarray(generator.normal(size=(3, 4))),
        "strided": np.arange(20)[::3],
        "mask": np.array([[True], [False]]),
    }
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        limits = np.iinfo(name)
        arrays[name] = np.array([limits.min, 1, limits.max], name)
    return arrays


def assert_same(loaded, arrays):
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()


def seal(data):
    """Give hand-made zip bytes the content hash that ``load`` asks for, so that what lies behind it is tested."""
    end = data.rindex(b"PK\x05\x06")
    data = data[: end + 20] + struct.pack("<H", 64)
    return data + hashlib.sha256(data).hexdigest().encode()


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def npy_header(shape, dtype="<f4", fortran_order=False):
    text = repr({"descr": dtype, "fortran_order": fortran_order, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def write_sealed(path, members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    path.write_bytes(seal(stream.getvalue()))


METADATA_MEMBER = ("__metadata__.npy", npy(np.frombuffer(b'{"step": 1}', np.uint8)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ckpt.npz"


@pytest.fixture
def saved(path):
    save(path, make_arrays(), META)
    return path


def test_round_trip_is_bit_exact(saved):
    arrays, meta = load(saved)
    assert_same(arrays, make_arrays())
    assert meta == META
    assert all(array.flags.writeable and array.flags.c_contiguous for array in arrays.values())


def test_nothing_to_save_is_a_checkpoint_too(path):
    save(path, {}, {})
    assert load(path) == ({}, {})


def test_array_of_several_chunks(path):
    array = np.random.default_rng(0).integers(0, 256, size=3 * 2**20 + 17, dtype=np.uint8)
    save(path, {"a": array}, {})
    assert load(path)[0]["a"].tobytes() == array.tobytes()


def test_random_generator_resumes(path):
    generator = np.random.default_rng(5)
    generator.normal(size=10)
    save(path, {}, {"rng": generator.bit_generator.state})
    resumed = np.random.default_rng()
    resumed.bit_generator.state = load(path)[1]["rng"]
    np.testing.assert_array_equal(resumed.normal(size=9), generator.normal(size=9))


def test_numpy_reads_the_file_without_pickle(saved):
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["strided"], make_arrays()["strided"])
        assert json.loads(archive["__metadata__"].tobytes()) == META


def test_equal_content_gives_equal_files(saved, tmp_path):
    save(tmp_path / "other.npz", make_arrays(), META)
    assert (tmp_path / "other.npz").read_bytes() == saved.read_bytes()


def test_saving_replaces(saved):
    save(saved, {"x": np.ones(2)}, {"step": 8})
    assert load(saved)[1] == {"step": 8}
    assert list(saved.parent.iterdir()) == [saved]


def test_any_flipped_byte_is_noticed(path):
    save(path, {"w": np.arange(5.0), "flag": np.array(True)}, {"step": 1})
    data = path.read_bytes()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"run\.ckpt\.npz: "):
            load(path)


def test_any_truncation_is_noticed(path):
    save(path, {"w": np.arange(5.0), "flag": np.array(True)}, {"step": 1})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"run\.ckpt\.npz: .*(truncated|not a zip|content hash mismatch)"):
            load(path)


def test_trailing_bytes_are_noticed(saved):
    saved.write_bytes(saved.read_bytes() + b"0")
    with pytest.raises(CheckpointError):
        load(saved)


def test_missing_file(path):
    with pytest.raises(CheckpointError, match=r"run\.ckpt\.npz: no such file"):
        load(path)


def test_folder(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path)


def test_not_a_zip(path):
    path.write_bytes(b"hello" * 100)
    with pytest.raises(CheckpointError, match="not a zip file"):
        load(path)


def test_foreign_npz(path):
    np.savez(path, a=np.zeros(3))
    with pytest.raises(CheckpointError, match="without a content hash: truncated, or not a checkpoint"):
        load(path)


def test_hash_of_other_content(saved):
    data = saved.read_bytes()
    saved.write_bytes(data[:-64] + b"0" * 64)
    with pytest.raises(CheckpointError, match="content hash mismatch"):
        load(saved)


def test_sealed_by_hand_loads(path):
    write_sealed(path, [METADATA_MEMBER, ("a.npy", npy(np.arange(3)))])
    arrays, meta = load(path)
    assert_same(arrays, {"a": np.arange(3)})
    assert meta == {"step": 1}


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([("a.npy", npy(np.zeros(3)))], "no metadata"),
        ([("__metadata__.npy", npy(np.frombuffer(b"[1]", np.uint8)))], "metadata is a list, not a dict"),
        ([("__metadata__.npy", npy(np.frombuffer(b"{", np.uint8)))], "cannot be read"),
        ([("__metadata__.npy", npy(np.frombuffer(b"[" * 100_000, np.uint8)))], "cannot be read"),
        ([METADATA_MEMBER, ("a.npy", npy(np.array([{}]), allow_pickle=True))], "array a holds Python objects"),
        ([METADATA_MEMBER, ("a.npy", npy(np.array(["x"])))], "array a has dtype <U1"),
        ([METADATA_MEMBER, ("a.npy", npy(np.zeros(2, ">f4")))], "array a has dtype >f4"),
        ([METADATA_MEMBER, ("a.npy", npy(np.zeros(2, "i4,f4")))], "array a has dtype"),
        ([METADATA_MEMBER, ("a.npy", npy(np.zeros(3), version=(2, 0)))], "npy version"),
        ([METADATA_MEMBER, ("a.npy", npy_header((2**40,)))], "does not fit its member"),
        ([METADATA_MEMBER, ("a.npy", npy_header((2**70, 0)))], "cannot be read"),
        ([METADATA_MEMBER, ("a.npy", npy_header((-1, -4)) + bytes(16))], "does not fit its member"),
        ([METADATA_MEMBER, ("a.npy", npy_header((2,)) + bytes(9))], "does not fit its member"),
        ([METADATA_MEMBER, ("a.npy", npy_header((2, 2), fortran_order=True) + bytes(16))], "does not fit its member"),
        ([METADATA_MEMBER, ("a.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)], "cannot be read"),
        ([METADATA_MEMBER, ("a.npy", b"no array")], "cannot be read"),
        ([METADATA_MEMBER, ("a.txt", b"text")], "compressed, repeated or not an npy array"),
    ],
)
def test_foreign_members(path, members, problem):
    write_sealed(path, members)
    with pytest.raises(CheckpointError, match=problem) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_compressed_members_are_refused(path):
    write_sealed(path, [METADATA_MEMBER, ("a.npy", npy(np.zeros(10_000)))], zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"too large|compressed"):
        load(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_members_are_refused(path):
    write_sealed(path, [METADATA_MEMBER, ("a.npy", npy(np.zeros(3))), ("a.npy", npy(np.ones(3)))])
    with pytest.raises(CheckpointError, match="repeated"):
        load(path)


def test_zip_bomb_header(path):
    """A directory that declares 3 GiB for a member of a few bytes is refused before anything of that size exists."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(*METADATA_MEMBER)
    data = bytearray(stream.getvalue())
    entry = data.index(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = struct.pack("<II", 3 * 2**30, 3 * 2**30)
    path.write_bytes(seal(bytes(data)))
    with pytest.raises(CheckpointError, match="too large: 3221225472 bytes declared in a file of"):
        load(path)


def test_limits_on_size_and_count(saved, monkeypatch):
    size = saved.stat().st_size
    load(saved, limit=size)
    with pytest.raises(CheckpointError, match=f"too large: {size} bytes, limit {size - 1}"):
        load(saved, limit=size - 1)
    monkeypatch.setattr(checkpoint, "MAX_MEMBERS", 3)
    with pytest.raises(CheckpointError, match="too large: 16 arrays, limit 3"):
        load(saved)
    with pytest.raises(CheckpointError, match="too large: 4 arrays, limit 3"):
        save(saved, dict.fromkeys("abc", np.zeros(1)), {})
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 400)
    with pytest.raises(CheckpointError, match="too large: 802 bytes, limit 400"):
        save(saved, {"a": np.zeros(100)}, {})
    with pytest.raises(CheckpointError, match=r"too large: .* bytes, limit 400"):  # the file, not the arrays
        save(saved, {"a": np.zeros(40)}, {})
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize(
    ("arrays", "meta", "problem"),
    [
        ({"a": np.array([{}])}, {}, "array a holds Python objects"),
        ({"a": np.zeros(2, "complex64")}, {}, "array a has dtype complex64"),
        ({"a": np.zeros(2, "float16")}, {}, "array a has dtype float16"),
        ({"a": np.zeros(2, ">f8")}, {}, "array a has dtype >f8"),
        ({"a": np.array(["x"])}, {}, "array a has dtype <U1"),
        ({"a": [1.0]}, {}, "array a is a list"),
        ({"a": np.float32(1.0)}, {}, "array a is a float32"),
        ({"": np.zeros(1)}, {}, "array name ''"),
        ({"a\0b": np.zeros(1)}, {}, "array name"),
        ({"\udcff": np.zeros(1)}, {}, "array name"),
        ({"x" * 2000: np.zeros(1)}, {}, "array name"),
        ({3: np.zeros(1)}, {}, "array name 3"),
        ({"__metadata__": np.zeros(1)}, {}, "reserved"),
        ({}, [], "meta must be a dict, got a list"),
        ({}, {"x": np.float32(1.0)}, "meta is not JSON"),
        ({}, {"x": 10**5000}, "meta is not JSON"),
    ],
)
def test_what_cannot_be_saved(saved, arrays, meta, problem):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match=problem) as caught:
        save(saved, arrays, meta)
    assert str(caught.value).startswith(f"{saved}: ")
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize(
    ("error", "seen"),
    [(OSError(28, "No space left on device"), CheckpointError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_failing_write_leaves_the_old_file_alone(saved, monkeypatch, call, error, seen):
    def fail(*args):
        raise error

    before = saved.read_bytes()
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(seen) as caught:
        save(saved, {"x": np.ones(2)}, {})
    if seen is CheckpointError:
        assert str(caught.value) == f"{saved}: cannot be saved: No space left on device"
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("parent", ["missing", "file"])
def test_no_folder_to_save_into(tmp_path, parent):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be saved"):
        save(tmp_path / parent / "x.npz", {}, {})


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_process_always_leaves_a_file_that_loads(path):
    writer = (
        "import itertools, sys, numpy as np\n"
        "from mini_repr.training.checkpoint import save\n"
        "for step in itertools.count():\n"
        "    save(sys.argv[1], {'w': np.full(300_000, float(step))}, {'step': step})\n"
    )
    for attempt in range(5):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", writer, str(path)], cwd=Path(mini_repr.__file__).parents[1])
        deadline = time.monotonic() + 60
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.013 * attempt)
        assert process.poll() is None
        process.kill()
        process.wait()
        arrays, meta = load(path)
        np.testing.assert_array_equal(arrays["w"], np.full(300_000, float(meta["step"])))


def test_an_interrupt_as_a_member_opens_stays_one(tmp_path, monkeypatch):
    """zipfile would raise a ValueError over it, since the member was never closed."""
    save(tmp_path / "run", make_arrays(), META)
    opened, held = zipfile.ZipFile.open, []

    def interrupted(archive, *args, **options):
        held.append(opened(archive, *args, **options))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "open", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / "run", {"other": np.zeros(3)}, META)
    held[0]._zipfile.fp = None  # as closed: nothing is to be written when it goes
    assert_same(load(tmp_path / "run")[0], make_arrays())
