"""Input files: search, decompression, and reports of damage."""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from lcjax.data.readers.files import find_file, open_archive, read_bytes, read_lines

PACK = {"a": bytes, "a.gz": gzip.compress, "a.bz2": bz2.compress, "a.xz": lzma.compress}


def test_names_are_tried_before_the_next_folder(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    for place in (first / "b", second / "a"):
        place.parent.mkdir()
        place.write_text("")
    assert find_file(["a", "b"], [first, second]) == first / "b"
    assert find_file(["a"], [first, second]) == second / "a"
    with pytest.raises(FileNotFoundError, match=rf"No file c or d in {first}\."):
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
    with pytest.raises(ValueError, match=rf"{name} is truncated or not compressed as its ending says: .*[^.]\.$"):
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
    for name, reason in (("words", "Object arrays cannot be loaded"), ("y", "y is not a file in the archive")):
        with (
            pytest.raises(ValueError, match=rf"a\.npz cannot be read: .*{reason}.*[^.]\.$"),
            open_archive(path) as archive,
        ):
            archive[name]
    with pytest.raises(ValueError, match=r"a\.npz cannot be read: no good\."), open_archive(path):
        raise ValueError("no good.")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"a\.npz cannot be read: it is not a NumPy archive"), open_archive(path):
        pass
