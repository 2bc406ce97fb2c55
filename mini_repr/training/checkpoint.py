"""One file that either holds everything that was saved, or does not load.

A checkpoint is an npz file: uncompressed zip members, one npy array each, and the metadata as JSON text in a uint8
array. NumPy reads it. What NumPy does not do:

* The file ends with a SHA-256 (the zip comment) over every byte before it, so over names, dtypes, shapes, values and
  metadata. Damage to any byte is an error; the time of saving is not stored, so equal content gives equal files.
* Saving writes a temporary file beside the target, flushes it to the disk and renames it over the target: a crash at
  any moment leaves the old file or the new one. A process killed outright may leave its ``.tmp`` file behind.
* Loading trusts nothing: no pickle, no compression, a fixed list of dtypes, and all declared sizes are compared with
  each other, the true size of the file and a limit before anything is allocated.
"""

import hashlib
import json
import math
import os
import secrets
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np

MAX_BYTES = 16 * 2**30
MAX_MEMBERS = 100_000
_MAX_NAME = 1000
_METADATA = "__metadata__"
_DTYPES = {"<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"}
_DIGEST = hashlib.sha256().digest_size * 2  # as hexadecimal text
_CHUNK = 2**20
_DATE = (1980, 1, 1, 0, 0, 0)  # zip's zero


class CheckpointError(ValueError):
    """A checkpoint that cannot be saved or loaded: one line, the file and the problem."""


def save(path, arrays, meta):
    """Write ``arrays`` and ``meta`` to ``path``, replacing what is there all at once.

    Args:
        path: the file; its folder must exist.
        arrays: dict name -> NumPy array of float32, float64, bool, or (unsigned) integers. Names are printable text.
        meta: dict of JSON values; integers of any size survive.
    Raises:
        CheckpointError: something else among the arrays or in ``meta``, more than ``MAX_BYTES``, or the disk refuses.
            ``path`` is then as it was, unless only the last flush, of the folder, failed.
    """
    path = Path(path)
    members = {_METADATA: _encode(path, meta)}
    for name, array in arrays.items():
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > _MAX_NAME:
            raise CheckpointError(f"{path}: array name {name!r:.80} is not 1 to {_MAX_NAME} printable characters")
        if name == _METADATA:
            raise CheckpointError(f"{path}: array name {name} is reserved")
        if not isinstance(array, np.ndarray):
            raise CheckpointError(f"{path}: array {name} is a {type(array).__name__}, not a NumPy array")
        _check_dtype(path, name, array.dtype)
        members[name] = np.asarray(array, order="C")
    _check_size(path, sum(array.nbytes for array in members.values()), MAX_BYTES)
    _check_count(path, len(members))

    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "x+b") as file:
            _write_members(file, members)
            _seal(file)
            _check_size(path, file.seek(0, os.SEEK_END), MAX_BYTES)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be saved: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # renamed already, or never created
            temporary.unlink()


def load(path, limit=MAX_BYTES):
    """The ``(arrays, meta)`` that ``save`` wrote to ``path``.

    Args:
        path: the file.
        limit: most bytes that the file, and so all its arrays together, may take.
    Raises:
        CheckpointError: the file is missing, truncated, damaged, foreign, too large or holds anything but plain arrays.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            _check_size(path, size, limit)
            _check_seal(path, file)
            with zipfile.ZipFile(file) as archive:
                members = _read_members(path, archive, size)
        if _METADATA not in members:
            raise CheckpointError(f"{path}: no metadata")
        meta = json.loads(members.pop(_METADATA).tobytes())
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except Exception as error:  # whatever the readers of zip, npy and JSON raise on foreign bytes
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: cannot be read: {problem}") from error
    if not isinstance(meta, dict):
        raise CheckpointError(f"{path}: metadata is a {type(meta).__name__}, not a dict")
    return members, meta


def _encode(path, meta):
    if not isinstance(meta, dict):
        raise CheckpointError(f"{path}: meta must be a dict, got a {type(meta).__name__}")
    try:
        return np.frombuffer(json.dumps(meta).encode("ascii"), dtype=np.uint8)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: meta is not JSON: {error}") from error


def _write_members(file, members):
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in members.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy", _DATE), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            archive.comment = b"0" * _DIGEST  # room for the seal
    except ValueError as error:
        # Stopped by hand as a member opens, zipfile cannot close and says so in place of the interrupt.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def _read_members(path, archive, file_size):
    infos = archive.infolist()
    _check_count(path, len(infos))
    declared = sum(info.file_size for info in infos)
    if declared > file_size:
        raise CheckpointError(f"{path}: too large: {declared} bytes declared in a file of {file_size}")
    members = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if info.compress_type != zipfile.ZIP_STORED or name == info.filename or name in members:
            raise CheckpointError(f"{path}: member {info.filename!r:.80} is compressed, repeated or not an npy array")
        with archive.open(info) as member:
            members[name] = _read_array(path, name, member, info.file_size)
    return members


def _read_array(path, name, member, member_size):
    version = np.lib.format.read_magic(member)
    if version != (1, 0):
        raise CheckpointError(f"{path}: array {name} has npy version {version}, expected (1, 0)")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
    _check_dtype(path, name, dtype)
    size = math.prod(shape) * dtype.itemsize
    if fortran_order or min(shape, default=0) < 0 or member.tell() + size != member_size:
        raise CheckpointError(f"{path}: array {name} with shape {shape} and dtype {dtype} does not fit its member")
    array = np.empty(shape, dtype)
    rest = memoryview(array.reshape(-1).view(np.uint8))
    while rest:
        count = member.readinto(rest[:_CHUNK])
        if count == 0:
            raise CheckpointError(f"{path}: array {name} ends early")
        rest = rest[count:]
    member.read()  # nothing is left, and zipfile compares its checksum at the end
    return array


def _check_dtype(path, name, dtype):
    if dtype.hasobject:
        raise CheckpointError(f"{path}: array {name} holds Python objects, which would need pickle")
    if dtype.str not in _DTYPES:
        raise CheckpointError(f"{path}: array {name} has dtype {dtype}; expected float32, float64, integers or bool")


def _check_size(path, size, limit):
    if size > limit:
        raise CheckpointError(f"{path}: too large: {size} bytes, limit {limit}")


def _check_count(path, members):
    if members > MAX_MEMBERS:
        raise CheckpointError(f"{path}: too large: {members} arrays, limit {MAX_MEMBERS}")


def _seal(file):
    digest = _digest(file)
    file.seek(-_DIGEST, os.SEEK_END)
    file.write(digest)


def _check_seal(path, file):
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _DIGEST, 0))
    seal = file.read()
    if len(seal) < _DIGEST or seal.strip(b"0123456789abcdef"):
        if zipfile.is_zipfile(file):
            raise CheckpointError(f"{path}: a zip file without a content hash: truncated, or not a checkpoint")
        file.seek(0)
        is_cut = file.read(4) == b"PK\x03\x04"
        raise CheckpointError(f"{path}: {'truncated' if is_cut else 'not a zip file'}")
    if _digest(file) != seal:
        raise CheckpointError(f"{path}: content hash mismatch: the file is damaged")


def _digest(file):
    """SHA-256, as hexadecimal text, of all but the last ``_DIGEST`` bytes of the file."""
    rest = file.seek(0, os.SEEK_END) - _DIGEST
    file.seek(0)
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    while rest > 0:
        count = file.readinto(buffer[: min(rest, _CHUNK)])
        if count == 0:
            raise EOFError("the file shrank while it was read")
        digest.update(buffer[:count])
        rest -= count
    return digest.hexdigest().encode("ascii")


def _sync_folder(folder):
    """Make the rename itself durable; only POSIX systems open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
