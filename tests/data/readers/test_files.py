"""Input files: search, decompression, and reports of damage."""

import bz2
import gzip
import io
import lzma
import os
import time
import zipfile

import numpy as np
import pytest

from lcjax.data.readers.files import (
    check_size,
    find_file,
    memory_limit,
    open_archive,
    parse_number,
    read_array,
    read_bytes,
    read_lines,
)  # fmt: skip

PACK = {"a": bytes, "a.gz": gzip.compress, "a.bz2": bz2.compress, "a.xz": lzma.compress}


def test_names_are_tried_before_the_next_folder(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    for place in (first / "b", second / "a"):
        place.parent.mkdir()
        place.write_text("")
    assert find_file(["a", "b"], [first, second]) == first / "b"
    assert find_file(["a"], [first, second]) == second / "a"
    with pytest.raises(FileNotFoundError, match=rf"No file c or d in {first}, which holds b\."):
        find_file(["c", "d"], [first, second])


@pytest.mark.parametrize("name", PACK)
def test_bytes_are_decompressed_by_their_ending(tmp_path, name):
    (tmp_path / name).write_bytes(PACK[name](b"raw \xff"))
    assert read_bytes(tmp_path / name) == b"raw \xff"


@pytest.mark.parametrize("name", list(PACK)[1:])
@pytest.mark.parametrize("cut", [False, True])
def test_damaged_files_are_refused_by_name(tmp_path, name, cut):
    packed = PACK[name](bytes(range(256)) * 50)
    (tmp_path / name).write_bytes(packed[:-20] if cut else b"text, not compressed")
    with pytest.raises(ValueError, match=rf"{name}, compressed as \{name[1:]}, cannot be read: .*[^.]\.$"):
        read_bytes(tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_end_with_line_feeds_only(tmp_path, name):
    raw = "\ufeffgrün\r\n\na\u2028b\x0bc\nlast".encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    assert read_lines(tmp_path / name) == ["grün", "", "a\u2028b\x0bc", "last"]


def test_text_that_cannot_be_decoded_is_named_with_line_and_byte(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("eins\nzwölf\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt, line 2: byte 0xf6 at offset 7 is not UTF-8 \(invalid start"):
        read_lines(path)
    path.write_text("ä\n")
    with pytest.raises(ValueError, match=r"line 1: byte 0xc3 at offset 0 is not ASCII"):
        read_lines(path, encoding="ascii")


def test_a_file_without_text(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(ValueError, match=r"empty\.txt holds no text"):
        read_lines(tmp_path / "empty.txt")


def test_archives_are_read_and_their_errors_carry_the_path(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3), words=np.array(["a", None], object))
    with open_archive(path) as archive:
        assert archive["x"].tolist() == [0, 1, 2]
        assert list(archive) == ["x", "words"]
    for name, reason in (("words", "it holds Python objects"), ("y", "y is not a file in the archive")):
        with pytest.raises(ValueError, match=rf"a\.npz.* cannot be read: .*{reason}.*"), open_archive(path) as archive:
            archive[name]
    with pytest.raises(ValueError, match=r"a\.npz cannot be read: no good\."), open_archive(path):
        raise ValueError("no good.")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"a\.npz cannot be read: it is not a NumPy archive"), open_archive(path):
        pass


def bomb(path, size):
    """Write zeros that are compressed a thousandfold, in several streams."""
    path.write_bytes(PACK[f"a{path.suffix}"](bytes(2**20)) * (size // 2**20))
    return path


@pytest.mark.parametrize("name", ["a.gz", "a.bz2", "a.xz"])
def test_what_expands_beyond_the_limit_is_refused_with_both_numbers(tmp_path, name, monkeypatch):
    path = bomb(tmp_path / name, 2**24)
    monkeypatch.setenv("LCJAX_MEMORY_LIMIT", "0.001")
    with pytest.raises(ValueError, match=rf"{name} needs at least 0.00\d+ GiB of memory, more than the limit of 0.001"):
        read_bytes(path)
    monkeypatch.setenv("LCJAX_MEMORY_LIMIT", "0.1")
    assert len(read_bytes(path)) == 2**24
    monkeypatch.setenv("LCJAX_MEMORY_LIMIT", "much")
    with pytest.raises(ValueError, match="'much' is not a number"):
        read_bytes(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.gz", "a.bz2", "a.xz"])
def test_a_bomb_is_refused_in_two_seconds(tmp_path, name):
    path = bomb(tmp_path / name, 2**30)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"GiB of memory, more than the limit of 0\.25 GiB"):
        read_bytes(path)
    assert time.process_time() - start < 2


def test_the_limit_grows_with_the_file_and_ends_at_the_memory(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"a")
    assert memory_limit(path) == 2**28
    os.truncate(path, 2**26)  # a hole
    assert memory_limit(path) == memory_limit(tmp_path) == 20 * 2**26
    os.truncate(path, 2**42)
    assert 2**30 < memory_limit(path) < 2**42
    with pytest.raises(ValueError, match=r"a needs at least 4\.096e\+05 GiB"):
        check_size(path, 2**42 * 100)


def test_members_of_an_archive_are_counted_together(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(100_000), y=np.ones(100_000))
    monkeypatch.setenv("LCJAX_MEMORY_LIMIT", "0.001")
    with open_archive(path) as archive:
        assert archive["x"].size == 100_000
        with pytest.raises(ValueError, match=r"a\.npz, array y needs at least 0\.00149 GiB"):
            archive["y"]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def member(header):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EOF: reading magic string"),
        (b"text, not an array", "the magic string is not correct"),
        (b"\x93NUMPY\x07\x00", r"its NumPy format 7\.0 is unknown"),
        (member(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1 ,"), "its header is damaged"),
        (member(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"A" * 8, "Python objects"),
        (member(b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}") + b"A" * 8, "Python objects"),
        (member(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}") + b"A" * 8, "negative"),
        (member(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}") + b"A" * 8, "asks for 16 .* there are 8"),
        (member(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}") + b"A" * 17, "there are more"),
        (member(b"{'descr': '<f8', 'fortran_order': False, 'shape': (137438953472,)}"), "needs at least 1024 GiB"),
        (member(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1" + b"0" * 999 + b",)}"), "needs at least 9"),
        (member(b"{'descr': '<U0', 'fortran_order': False, 'shape': (10000000000,)}"), "not numbers or text"),
        (member(b"(" * 900), "its header is damaged"),
    ],
)  # fmt: skip
def test_headers_of_arrays_are_checked_before_anything_is_allocated(tmp_path, content, reason):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.npz, array x .*{reason}"), open_archive(tmp_path / "a.npz") as archive:
        archive["x"]
    with pytest.raises(ValueError, match=rf"x\.npy .*{reason}"):
        read_array(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("offset", "change", "reason"),
    [(6, b"\xff", "zip file version"), (8, b"\1", "encrypted"), (10, b"\x63", "compression method")],
    ids=["version", "encrypted", "method"],
)
def test_zip_features_that_are_not_supported_are_named(tmp_path, offset, change, reason):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3))
    raw = bytearray(path.read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    raw[central + offset : central + offset + 1] = change
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=rf"a\.npz.* cannot be read: .*{reason}"), open_archive(path) as archive:
        archive["x"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str)
def test_damage_to_compressed_members_is_named(tmp_path, method):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", npy(np.arange(1000) % 7))
    raw = bytearray(path.read_bytes())
    for start in range(50, 60):
        path.write_bytes(raw[:start] + bytes([raw[start] ^ 255]) + raw[start + 1 :])
        with pytest.raises(ValueError, match=r"a\.npz.* cannot be read: \S"), open_archive(path) as archive:
            archive["x"]


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_layout_are_what_numpy_reads(tmp_path, order):
    arrays = [
        np.arange(24.0).reshape(2, 3, 4),
        np.array(3),
        np.zeros((0, 2)),
        np.array(["a", "bcd"]),
        np.arange(3, dtype=">i2"),
    ]
    np.savez(tmp_path / "a.npz", *[np.asarray(array, order=order) for array in arrays])
    with open_archive(tmp_path / "a.npz") as archive:
        for number, array in enumerate(arrays):
            np.testing.assert_array_equal(archive[f"arr_{number}"], array)
            assert archive[f"arr_{number}"].dtype == array.dtype


@pytest.mark.parametrize("text", ["1", "-2.5e3", ".5", "5.", "+1E-4", " 7 "])
def test_numbers_in_ascii(text):
    assert parse_number(text) == float(text)


@pytest.mark.parametrize("text", ["1_0", "\uff11", "\u0661", "", "0x10", "1\f", "1\u2028", "1e", "1d3", "1,5"])
def test_other_forms_of_numbers_are_refused(text):
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)
