import gzip
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from mini_repr.data import DataError, ImageSet, PairSet, RowSet, TextSet, load


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def refused(path, message, **options):
    with pytest.raises(DataError, match=message) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value) and str(path.name) in str(caught.value)


# --- npz


@pytest.mark.parametrize("keys", [("images", "labels"), ("x", "y"), ("data", "targets")])
@pytest.mark.parametrize("layout", ["NHW", "NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_npz_layouts(tmp_path, rng, keys, layout, dtype):
    channels = 1 if layout == "NHW" else 3
    whole = rng.integers(0, 256, (10, channels, 4, 5))
    stored = {"NHW": whole[:, 0], "NCHW": whole, "NHWC": whole.transpose(0, 2, 3, 1)}[layout]
    white = {np.uint8: 255, np.uint16: 65535}.get(dtype, 256)
    stored = stored.astype(dtype) if dtype in (np.uint8, np.uint16) else (stored / 256).astype(dtype)
    labels = np.arange(10, dtype=np.uint8) % 3
    np.savez(tmp_path / "f.npz", **{keys[0]: stored, keys[1]: labels})
    data = load(tmp_path / "f.npz")
    assert isinstance(data.train, ImageSet) and data.train.images.dtype == np.float32
    # In the order of their classes the rows are 0 3 6 9, 1 4 7, 2 5 8: the first and the sixth of them are test.
    np.testing.assert_allclose(data.test.images, whole[[0, 4]] / white, rtol=1e-6)
    assert np.array_equal(data.test.labels, labels[[0, 4]]) and data.train.label_names == ("0", "1", "2")


def test_npz_with_its_own_test_part_and_white(tmp_path, rng):
    train, test = rng.integers(0, 17, (6, 8, 8)), rng.integers(0, 17, (3, 8, 8))
    labels = {"y_train": np.zeros((6, 1), int), "y_test": np.array([0, 2, 1])}  # a column, as Keras saves it
    np.savez_compressed(tmp_path / "f.npz", x_train=train, x_test=test, **labels)
    data = load(str(tmp_path / "f.npz"), white=16)
    assert np.array_equal(data.train.images[:, 0] * 16, train) and np.array_equal(data.test.images[:, 0] * 16, test)
    assert list(data.test.labels) == [0, 2, 1] and len(data.train.label_names) == 3


@pytest.mark.parametrize("channels", [1, 3])
def test_npz_clips(tmp_path, rng, channels):
    whole = rng.integers(0, 256, (10, 6, channels, 4, 5)).astype(np.uint8)
    np.savez(tmp_path / "f.npz", clips=whole, labels=np.arange(10) % 2)
    np.savez(tmp_path / "g.npz", x=whole.transpose(0, 1, 3, 4, 2), y=np.arange(10) % 2)
    for name in ("f.npz", "g.npz"):
        data = load(tmp_path / name)
        np.testing.assert_allclose(data.test.images, whole[[0, 1]] / 255, rtol=1e-6)
        assert data.train.images.shape == (8, 6, channels, 4, 5)


def test_npz_rows(tmp_path, rng):
    rows = rng.standard_normal((10, 7))
    np.savez(tmp_path / "f.npz", features=rows)
    data = load(tmp_path / "f.npz")
    assert isinstance(data.train, RowSet) and np.array_equal(data.test.rows, rows[::5]) and data.test.labels is None
    np.savez(tmp_path / "g.npz", x=np.arange(20).reshape(10, 2), y=np.arange(10))
    assert load(tmp_path / "g.npz").train.rows.dtype == np.float32


IMAGES = np.zeros((10, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"z": IMAGES}, {}, "keys z, expected one of images"),
        ({}, {}, "keys none"),
        ({"x": np.array([{}, None])}, {}, "pickle is never loaded"),
        ({"x": IMAGES, "y": np.array([None] * 10)}, {}, "pickle is never loaded"),
        ({"x": IMAGES, "y": np.arange(9)}, {}, "9 labels for 10 rows, expected as many"),
        ({"x": IMAGES, "y": np.arange(10) - 1}, {}, "labels from -1 to 8, expected 0 to"),
        ({"x": IMAGES, "y": np.arange(10) + 10**6}, {}, "labels from 1000000"),
        ({"x": IMAGES, "y": np.linspace(0, 1, 10)}, {}, "labels are float64"),
        ({"x": IMAGES, "y": np.zeros((10, 2), int)}, {}, r"shape \(10, 2\)"),
        ({"x": np.uint8(3)}, {}, r"values of shape \(\)"),
        ({"x": np.zeros((10, 2, 4, 4))}, {}, r"values of shape \(10, 2, 4, 4\), expected"),
        ({"x": np.zeros((2, 3, 4, 4, 1, 1))}, {}, "expected"),
        ({"clips": np.zeros((10, 3, 2, 4, 4))}, {}, r"shape \(10, 3, 2, 4, 4\), .* clips \(N, T, C, H, W\)"),
        ({"x": np.zeros((0, 4, 4))}, {}, "no image"),
        ({"x": np.zeros((1, 4, 4))}, {}, "at least two rows"),
        ({"x": IMAGES * 1.0 + 2}, {}, "pixel values from 2 to 2, expected 0 to 1"),
        ({"x": IMAGES * np.nan}, {}, "no NaN"),
        ({"x": IMAGES.astype(np.int64)}, {}, "int64, expected uint8, uint16 or floats, or the option white"),
        ({"x": IMAGES + np.uint8(20)}, {"white": 16}, "from 20 to 20, expected 0 to 16"),
        ({"x": IMAGES}, {"white": 0}, "option white is 0"),
        ({"x": IMAGES}, {"size": 3}, "option 'size' of read_npz, expected white"),
        ({"x": IMAGES.astype(str)}, {}, "expected integers or floats"),
        ({"x": IMAGES[0].astype(str)}, {}, "rows are"),
        ({"x": np.full((10, 2), np.nan)}, {}, "NaN or infinity"),
        ({"x_train": IMAGES}, {}, "expected x_train and x_test"),
        ({"x_train": IMAGES, "x_test": IMAGES, "y_test": np.arange(10)}, {}, "both y_train and y_test or neither"),
        ({"x_train": IMAGES, "x_test": IMAGES[:, :3]}, {}, "expected the same"),
        ({"x_train": IMAGES, "x_test": np.zeros((10, 2))}, {}, "expected one kind"),
    ],
)
def test_npz_that_does_not_fit(tmp_path, arrays, options, message):
    np.savez(tmp_path / "f.npz", **arrays)
    refused(tmp_path / "f.npz", message, **options)


def npy_folder(folder, **arrays):
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array)
    return folder


def test_a_folder_of_arrays_stays_on_the_disk(tmp_path, rng):
    images = rng.random((9, 1, 4, 5), dtype=np.float32)
    folder = npy_folder(tmp_path, x_train=images[:6], x_test=images[6:], y_train=np.arange(6) % 2, y_test=np.arange(3))
    data = load(folder)
    assert isinstance(data.train, ImageSet) and data.train.label_names == ("0", "1", "2")
    for part, own in ((data.train, images[:6]), (data.test, images[6:])):
        np.testing.assert_array_equal(part.images, own)
        assert isinstance(part.images.base, np.memmap)
    rows = npy_folder(tmp_path, x_train=rng.random((6, 3)), x_test=rng.random((2, 3)))
    for file in ("y_train", "y_test"):
        (tmp_path / f"{file}.npy").unlink()
    assert isinstance(load(rows).train, RowSet) and isinstance(load(rows).train.rows.base, np.memmap)


def test_a_folder_of_other_pixels_is_converted(tmp_path, rng):
    images = rng.integers(0, 256, (4, 4, 5, 3), dtype=np.uint8)
    data = load(npy_folder(tmp_path, x_train=images, x_test=images[:2]))
    np.testing.assert_allclose(data.train.images, np.moveaxis(images, -1, 1) / 255, rtol=1e-7)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": np.zeros((3, 2))}, "keys x_train, expected x_train and x_test"),
        ({"y_train": np.zeros(3, int)}, "keys y_train, expected x_train and x_test"),
        (
            {"x_train": np.zeros((3, 2)), "x_test": np.zeros((1, 2)), "y_train": np.zeros(3, int)},
            "expected both y_train and y_test or neither",
        ),
        ({"x_train": np.zeros((3, 2)), "x_test": np.full((1, 2), np.nan)}, "NaN or infinity"),
        ({"x_train": np.array([{}]), "x_test": np.zeros((1, 2))}, "not a readable .npy .*pickle is never loaded"),
    ],
)
def test_a_folder_of_arrays_that_does_not_fit(tmp_path, arrays, message):
    refused(npy_folder(tmp_path, **arrays), message)


def test_damaged_npz(tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, x=IMAGES)
    whole = path.read_bytes()
    for damaged in (whole[:100], b"PK\x03\x04", b"nonsense", pickle.dumps(IMAGES)):
        path.write_bytes(damaged)
        refused(path, "not a readable .npz .no zip archive.*pickle is never loaded")
    np.save(tmp_path / "g.npy", IMAGES)
    path.write_bytes((tmp_path / "g.npy").read_bytes())
    refused(path, "not a readable")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "text")
    refused(path, "member 'x' is no array")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    refused(path, "not a readable")


# --- IDX


def idx(values):
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte"])
def test_mnist_folder(tmp_path, rng, pack, name):
    parts = {}
    for part, count in (("train", 7), ("t10k", 3)):
        parts[part] = rng.integers(0, 256, (count, 6, 5), dtype=np.uint8), np.arange(count, dtype=np.uint8)
        for kind, values in zip(("images", "labels"), parts[part], strict=True):
            file = name.format(part, kind, values.ndim) + (".gz" if pack is gzip.compress else "")
            (tmp_path / file).write_bytes(pack(idx(values)))
    data = load(tmp_path)
    for ours, (images, labels) in ((data.train, parts["train"]), (data.test, parts["t10k"])):
        np.testing.assert_allclose(ours.images[:, 0], images / 255, rtol=1e-6)
        assert np.array_equal(ours.labels, labels)
    assert len(data.test.label_names) == 7
    refused(tmp_path, "option labels with a folder", labels="x")
    next(tmp_path.glob("t10k-labels*")).unlink()
    refused(tmp_path, "no t10k-labels-idx1-ubyte, expected it")


def test_idx_file_pair(tmp_path, rng):
    images, labels = rng.integers(0, 256, (10, 3, 3), dtype=np.uint8), np.arange(10, dtype=np.uint8)
    path = tmp_path / "fashion-images-idx3-ubyte"
    path.write_bytes(idx(images))
    assert load(path).train.labels is None
    (tmp_path / "other").write_bytes(gzip.compress(idx(labels)))
    assert np.array_equal(load(path, labels=tmp_path / "other").test.labels, labels[::5])
    (tmp_path / "fashion-labels-idx1-ubyte").write_bytes(idx(labels))
    data = load(path)
    assert np.array_equal(data.test.labels, labels[::5])
    np.testing.assert_allclose(data.test.images[:, 0], images[::5] / 255, rtol=1e-6)


def test_damaged_idx(tmp_path):
    path, whole = tmp_path / "a-idx3-ubyte", idx(IMAGES)
    for damaged, message in (
        (whole[:-1], "ends after 159 of 160 bytes"),
        (whole[:10], "ends after 6 of 12 bytes"),
        (whole[:2], "ends after 2 of 4 bytes"),
        (whole + b"x", "goes on after the 160 bytes"),
        (idx(IMAGES[0]), "starts with 00000802, expected 00000803"),
        (b"\0\0\x0d" + whole[3:], "starts with 00000d03"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"few", "ends after 3 of 79228162458924105385300197375 bytes"),
        (gzip.compress(whole)[:-12], "damaged gzip file"),
        (b"\x1f\x8bnonsense", "damaged gzip file"),
        (idx(IMAGES[:0]), "no image"),
        (b"", "empty, expected"),
    ):
        path.write_bytes(damaged)
        refused(path, message)
    path.write_bytes(whole)
    labels = tmp_path / "labels"
    labels.write_bytes(idx(np.zeros(9, np.uint8)))
    with pytest.raises(DataError, match="labels: 9 labels for 10 rows"):
        load(path, labels=labels)
    with pytest.raises(DataError, match="nowhere: cannot be read"):
        load(path, labels=tmp_path / "nowhere")


# --- CIFAR


def cifar(labels, rng):
    """Records with the label bytes (N, 1 or 2), and their images."""
    images = rng.integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8)
    return np.concatenate([labels.astype(np.uint8), images.reshape(len(labels), -1)], axis=1).tobytes(), images


def test_cifar_10(tmp_path, rng):
    labels, images = rng.integers(0, 10, (18, 1)), []
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        records, batch = cifar(labels[3 * i : 3 * i + 3], rng)
        (tmp_path / f"{name}.bin").write_bytes(records)
        images.append(batch)
    data = load(tmp_path)
    np.testing.assert_allclose(data.train.images, np.concatenate(images[:5]) / 255, rtol=1e-6)
    np.testing.assert_allclose(data.test.images, images[5] / 255, rtol=1e-6)
    assert np.array_equal(np.concatenate([data.train.labels, data.test.labels]), labels[:, 0])
    assert data.train.label_names == tuple("0123456789")
    (tmp_path / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    assert load(tmp_path).test.label_names == tuple("abcdefghij")
    (tmp_path / "batches.meta.txt").write_text("a b")
    refused(tmp_path, "batches.meta.txt: 2 class names, expected 10")
    (tmp_path / "batches.meta.txt").unlink()
    (tmp_path / "data_batch_3.bin").write_bytes(records[:-1])
    refused(tmp_path, "data_batch_3.bin: 9218 bytes, expected a whole number of records of 3073 bytes")
    (tmp_path / "data_batch_3.bin").write_bytes(records[:3073] + b"\x0a" + records[3074:])
    refused(tmp_path, "data_batch_3.bin: label 10 in record 1, expected 0 to 9")
    (tmp_path / "data_batch_3.bin").write_bytes(b"")
    refused(tmp_path, "data_batch_3.bin: 0 bytes")
    (tmp_path / "data_batch_3.bin").unlink()
    refused(tmp_path, "data_batch_3.bin: cannot be read")


def test_cifar_100(tmp_path, rng):
    labels = np.stack([np.arange(5), 99 - np.arange(5)], axis=1)
    for name in ("train", "test"):
        records, images = cifar(labels, rng)
        (tmp_path / f"{name}.bin").write_bytes(records)
    fine, coarse = load(tmp_path), load(tmp_path, labels="coarse")
    assert np.array_equal(fine.test.labels, labels[:, 1]) and np.array_equal(coarse.test.labels, labels[:, 0])
    assert len(fine.train.label_names) == 100 and len(coarse.train.label_names) == 20
    np.testing.assert_allclose(fine.test.images, images / 255, rtol=1e-6)
    refused(tmp_path, "option labels is 'both', expected fine or coarse", labels="both")


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "meta"])
def test_python_cifar_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({}))
    refused(tmp_path, "Python version .pickle., expected the binary version")
    with pytest.raises(DataError, match="Python version"):
        load(tmp_path / name)


# --- image folders


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_folder_of_classes(tmp_path, rng):
    grey = rng.integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
    for label, name in enumerate(("dog", "cat")):
        for i in range(3):
            save(tmp_path / name / f"{i}.png", grey[label, i])
    (tmp_path / "cat" / "notes.txt").write_text("passed over")
    (tmp_path / ".cache").mkdir()
    data = load(tmp_path)
    assert data.train.label_names == ("cat", "dog")
    # Rows stand in the order cat 0 1 2, dog 0 1 2: rows 0 and 5 are test.
    np.testing.assert_allclose(data.test.images[:, 0], np.stack([grey[1, 0], grey[0, 2]]) / 255, rtol=1e-6)
    assert list(data.test.labels) == [0, 1] and data.train.images.shape == (4, 1, 5, 4)


def test_folder_with_train_and_test_in_colour(tmp_path, rng):
    pixels = rng.integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    save(tmp_path / "train" / "a" / "0.png", pixels[0])
    save(tmp_path / "train" / "b" / "0.bmp", pixels[1])
    save(tmp_path / "test" / "b" / "0.ppm", pixels[2])
    save(tmp_path / "test" / "b" / "1.png", pixels[2, :, :, 0])  # grey among coloured ones
    data = load(tmp_path)
    np.testing.assert_allclose(data.train.images, pixels[:2].transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    np.testing.assert_allclose(data.test.images[1], np.stack([pixels[2, :, :, 0]] * 3) / 255, rtol=1e-6)
    assert list(data.test.labels) == [1, 1] and data.test.label_names == ("a", "b")
    save(tmp_path / "test" / "c" / "0.png", pixels[0])
    refused(tmp_path, "class 'c', expected only classes of train")


def test_folder_sizes(tmp_path, rng):
    save(tmp_path / "a" / "0.png", np.full((4, 4), 255, np.uint8))
    save(tmp_path / "a" / "1.png", np.full((6, 8), 255, np.uint8))
    refused(tmp_path, "1.png: 6x8 pixels, expected 4x4 as 0.png has, or the option size")
    assert load(tmp_path, size=5).train.images.shape == (1, 1, 5, 5)
    data = load(tmp_path, size=(2, 3))
    assert data.train.images.shape == (1, 1, 2, 3) and (data.train.images == 1).all()
    for size in (0, (1, 2, 3), (2.5, 1), (0, 1)):
        refused(tmp_path, "option size is", size=size)


def test_folder_that_does_not_fit(tmp_path, rng, monkeypatch):
    refused(tmp_path, "a folder of no known kind")
    (tmp_path / "a").mkdir()
    refused(tmp_path, "a: no image")
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8)).save(whole, "png")
    for damaged in (b"", b"nonsense", whole.getvalue()[:600]):
        (tmp_path / "a" / "0.png").write_bytes(damaged)
        refused(tmp_path, "0.png: not a readable image")
    save(tmp_path / "a" / "0.png", np.zeros((2, 2), np.uint16))
    refused(tmp_path, "0.png: pixels of mode I.*, expected 8 bits")
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(DataError, match=r"Pillow is not installed; pip install 'mini-repr\[images\]'"):
        load(tmp_path)


# --- texts


def test_tsv_without_a_header(tmp_path):
    path = tmp_path / "f.tsv"
    path.write_bytes("\ufeffeins\tüno\r\nzwei\tdos\r\n".encode())
    data = load(path)
    assert isinstance(data.train, PairSet) and data.train.labels is None
    assert (data.test.a, data.test.b, data.train.a, data.train.b) == (["eins"], ["üno"], ["zwei"], ["dos"])
    path = tmp_path / "g.tsv.gz"
    path.write_bytes(gzip.compress(b'say "hi\tx\tred\nb\ty\tblue'))
    data = load(path)
    assert data.test.a == ['say "hi'] and data.test.label_names == ("blue", "red") and list(data.test.labels) == [1]


def test_tsv_with_a_header(tmp_path):
    path = tmp_path / "f.tsv"
    path.write_text("label\tquery\tdocument\nr\tq0\td0\ns\tq1\td1\n")
    data = load(path)
    assert (data.test.a, data.test.b, data.train.label_names[data.train.labels[0]]) == (["q0"], ["d0"], "s")
    path.write_text("n\ttext\treply\tmood\n1\tq0\td0\tx\n2\tq1\td1\ty\n")
    data = load(path, columns=("reply", "text"), label="mood")
    assert (data.test.a, data.test.b, data.test.label_names) == (["d0"], ["q0"], ("x", "y"))
    assert load(path, columns=("n", "text")).test.labels is None


def test_jsonl(tmp_path):
    path = tmp_path / "f.jsonl"
    lines = [{"text": f"t{i}", "title": f"ü{i}", "class": i % 2, "other": None} for i in range(6)]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n", encoding="utf-8")
    data = load(path)
    assert data.test.a == ["t0", "t5"] and data.test.b == ["ü0", "ü5"] and list(data.test.labels) == [0, 1]
    assert data.test.label_names == ("0", "1")
    assert load(path, columns=["title", "text"]).test.a == ["ü0", "ü5"]


def test_columns_that_would_not_be_used(tmp_path):
    """A second negative: refused with what to type, and left out when that is typed."""
    path = tmp_path / "f.jsonl"
    for name, value in (("negative_2", "far"), ("weight", 0.0), ("negatives", ["far"]), ("weight", 3)):
        lines = [{"query": f"q{i}", "document": f"d{i}", name: value if i else None} for i in range(6)]
        path.write_text("\n".join(map(json.dumps, lines)))
        refused(path, f"line 2: {name} would not be used.*--set data.columns=query,document")
        assert load(path, columns="query,document").test.b == ["d0", "d5"]
    path = tmp_path / "f.tsv"
    path.write_text("query\tdocument\tpositive\nq\td\tp\nr\te\tn\n")
    refused(path, "line 2: positive would not be used")
    assert load(path, columns="query,positive").test.b == ["p"]
    for score in ("0.0", "4.25", "-0.1", "1.5E2", ".5"):
        path.write_text(f"a\tb\t1\nc\td\t{score}\n")
        refused(path, f"line 2: label is {score}, expected a class; .* --set data.similarity=NAME")


@pytest.mark.parametrize("name", ["f.tsv", "f.csv", "f.jsonl"])
def test_graded_pairs(name, tmp_path):
    path, keys = tmp_path / name, ("sentence1", "score", "sentence2")
    rows = [(f'a "{i}", b', f"{i / 2}", f"d{i}") for i in range(6)]
    lines = {
        "f.jsonl": [json.dumps(dict(zip(keys, (a, float(x), b), strict=True))) for a, x, b in rows],
        "f.tsv": ["\t".join(row) for row in (keys, *rows)],
        "f.csv": [",".join(keys), *('"{}",{},{}'.format(a.replace('"', '""'), x, b) for a, x, b in rows)],
    }[name]
    path.write_text("\n".join(lines))
    data = load(path)
    assert data.test.a == [rows[0][0], rows[5][0]] and data.test.b == ["d0", "d5"] and data.test.labels is None
    assert data.train.similarity.dtype == np.float32 and data.train.similarity.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert load(path, columns="sentence1,sentence2").train.similarity is None
    named = load(path, columns="sentence2,sentence1", similarity="score")
    assert named.test.a == ["d0", "d5"] and named.test.similarity.tolist() == [0.0, 2.5]
    text = path.read_text()
    path.write_text(text.replace("1.5", "null" if name == "f.jsonl" else ""))
    assert np.isnan(load(path).train.similarity).tolist() == [False, False, True, False]
    path.write_text(text.replace("1.5", "none" if name != "f.jsonl" else "true"))
    refused(path, r"line [45]: score is .*, expected a number, how alike the texts are")


def test_csv_of_more_than_a_line(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text('a,b\n"one\ntwo",x\ny,z\n')
    assert load(path).test.a == ["one\ntwo"]
    path.write_text('a,b\nx,y\n"open,x\n')
    refused(path, "line 3: .*, expected comma-separated fields")


def test_texts_one_a_line(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("  \n".join(f"sentence {i}" for i in range(6)) + "\n\n")
    data = load(path)
    assert isinstance(data.train, TextSet) and data.test.texts == ["sentence 0", "sentence 5"]
    assert data.train.texts == [f"sentence {i}" for i in range(1, 5)] and data.train.labels is None
    path.write_text(" \n\n")
    refused(path, "no line with a text, expected at least two")
    refused(path, "option 'columns' of read_texts, expected none", columns="a,b")


@pytest.mark.parametrize("name", ["f.tsv", "f.jsonl"])
def test_hard_negatives(name, tmp_path):
    path, keys = tmp_path / name, ("query", "Negative", "document", "label")
    rows = [(f"q{i}", f"n{i}", f"d{i}", str(i % 2)) for i in range(6)]
    as_json = "\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows)
    path.write_text(as_json if name == "f.jsonl" else "\n".join(map("\t".join, (keys, *rows))))
    data = load(path)
    assert data.test.a == ["q0", "q5"] and data.test.b == ["d0", "d5"] and data.test.negatives == ["n0", "n5"]
    assert data.train.negatives == ["n1", "n2", "n3", "n4"] and list(data.test.labels) == [0, 1]
    assert load(path, columns="query,document").train.negatives is None
    swapped = load(path, columns="document,Negative,query")
    assert swapped.test.b == ["n0", "n5"] and swapped.test.negatives == ["q0", "q5"]
    path.write_text(path.read_text().replace("n3", ""))
    refused(path, "line [45]: Negative is '', expected a text")


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("f.tsv", b"a\tb\nx\ty\nx\xff\ty\n", {}, "line 3: byte 2 is not UTF-8"),
        ("f.tsv", b"p\tq\nx\n", {}, "line 2: 1 fields, expected 2"),
        ("f.tsv", b"p\tq\n\nx\ty\n", {}, "line 2: 1 fields"),
        ("f.tsv", b"p\n", {}, "line 1: 1 fields, expected 2 or 3"),
        ("f.tsv", b"p\tq\tr\ts\n", {}, "line 1: 4 fields, expected 2 or 3"),
        ("f.tsv", b"p\tq\n \ty\n", {}, "line 2: a is ' ', expected a text"),
        ("f.tsv", b"a\tb\n", {}, "no line with a pair"),
        ("f.tsv", b"\xef\xbb\xbf", {}, "no line with a pair"),
        ("f.tsv", b"p\tq\n", {}, "at least two rows"),
        ("f.tsv", b"p\tp\nx\ty\n", {"columns": ("p", "q")}, "line 1: header p, p, expected distinct names"),
        ("f.tsv", b"p\tq\nx\ty\n", {"columns": ("p", "z")}, "line 2: columns p, q, expected z"),
        ("f.tsv", b"p\tq\nx\ty\n", {"columns": "pq"}, "option columns is 'pq', expected two names"),
        ("f.tsv", b"a\tlabel\nx\ty\n", {}, "columns a, label, expected two texts"),
        ("f.tsv", b"p\tq\t\nx\ty\t1\n", {}, "line 1: label is '', expected a class name"),
        ("f.tsv", b"\x1f\x8bnonsense", {}, "damaged gzip"),
        ("f.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x"', {}, "line 2: not JSON"),
        ("f.jsonl", b'{"a": "x", "b": "y"}\n\n', {}, "line 2: not JSON"),
        ("f.jsonl", b"[" * 100_000, {}, "line 1: not JSON"),
        ("f.jsonl", b'["x", "y"]\n', {}, "line 1: a JSON list, expected an object"),
        ("f.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x"}\n', {}, "line 2: columns a, expected b"),
        ("f.jsonl", b'{"a": "x", "b": 3}\n', {}, "line 1: b is 3, expected a text"),
        ("f.jsonl", b'{"a": "x", "b": ""}\n', {}, "line 1: b is ''"),
        ("f.jsonl", b"{}\n", {}, "columns none, expected two texts"),
        ("f.jsonl", b'{"a": "x", "b": "y", "label": null}\n', {}, "line 1: label is None, expected a class name"),
        ("f.jsonl", b'{"a": "x", "b": "y"}\n', {"label": "z"}, "line 1: columns a, b, expected z"),
    ],
)
def test_texts_that_do_not_fit(tmp_path, name, content, options, message):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, message, **options)


# --- what is there


@pytest.mark.parametrize("name", ["model.pkl", "x.pt", "data.pickle"])
def test_pickles_are_never_loaded(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(IMAGES))
    refused(tmp_path / name, "pickle is never loaded")


def test_what_is_nearly_right_is_told_what_to_type(tmp_path, rng):
    for names, type_this in (
        (("train/a", "val/a"), "train: folders and no image.*ln -s val .*/test"),
        (("train/a",), "train: folders and no image"),
        (("",), "images outside of class folders, expected .*/CLASS/IMAGE"),
    ):
        root = tmp_path / f"set{len(list(tmp_path.iterdir()))}"
        for name in names:
            save(root / name / "0.png", np.zeros((2, 2), np.uint8))
        refused(root, type_this)
    (tmp_path / "set0" / "test").symlink_to("val")
    assert len(load(tmp_path / "set0").test) == 1
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (tmp_path / "cifar" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cifar" / name).write_bytes(cifar(np.zeros((1, 1), int), rng)[0])
        refused(tmp_path / "cifar" / name, f"one file of CIFAR, expected its folder: --data {tmp_path / 'cifar'}")
    np.save(tmp_path / "rows.npy", IMAGES)
    refused(tmp_path / "rows.npy", r"np.savez\('rows.npz', NAME=np.load\('rows.npy'\)\)")
    np.savez(tmp_path / "deep.npz", x=IMAGES.astype(int))
    refused(tmp_path / "deep.npz", "--set data.white=")
    refused(tmp_path / "deep.npz", "--set data.white=", sise=3)
    save(tmp_path / "sizes" / "a" / "0.png", np.zeros((4, 4), np.uint8))
    save(tmp_path / "sizes" / "a" / "1.png", np.zeros((4, 6), np.uint8))
    refused(tmp_path / "sizes", "--set data.size=4")
    assert load(tmp_path / "sizes", size="2,3").train.images.shape == (1, 1, 2, 3)
    refused(tmp_path / "sizes", "option size is .*'x'.*--set data.size=32,48", size="2,x")


def test_unknown_sources(tmp_path):
    refused(tmp_path / "digts", "not there, expected a file, a folder, or one of digits, glosses")
    (tmp_path / "f.md").write_text("a,b")
    refused(tmp_path / "f.md", "of no known format, expected .npz, IDX")
