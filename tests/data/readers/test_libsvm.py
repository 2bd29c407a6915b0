"""LIBSVM's text files against scikit-learn, and the line numbers in messages."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

import lcjax as lc
from lcjax.data.readers.libsvm import read_libsvm, read_libsvm_splits
from lcjax.papers.sharma import TABLE_9

TEXT = b"+1 1:0.5 3:2e-1 # note\n\n-1 2:-1\n  \n# all of it\n+1\n"
VALUES = np.array([[0.5, 0, 0.2], [0, -1, 0], [0, 0, 0]], np.float32)


@pytest.mark.parametrize(("name", "pack"), [("a", bytes), ("a.gz", gzip.compress)])
def test_comments_blank_lines_and_absent_values(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(TEXT))
    inputs, labels = read_libsvm(tmp_path / name)
    np.testing.assert_array_equal(inputs, VALUES)
    assert labels.tolist() == [1, -1, 1]
    assert labels.dtype.kind == "i"
    assert read_libsvm(tmp_path / name, features=3)[0].shape == (3, 3)
    with pytest.raises(ValueError, match="line 1: index 3 exceeds the 2 features"):
        read_libsvm(tmp_path / name, features=2)
    (tmp_path / "labels").write_text("1\n2.5\n")
    inputs, labels = read_libsvm(tmp_path / "labels")
    np.testing.assert_array_equal(inputs, np.zeros((2, 1)))
    assert labels.tolist() == [1, 2.5]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 20), d=st.integers(1, 9))
def test_what_scikit_learn_writes_is_read_as_scikit_learn_reads_it(tmp_path, seed, n, d):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.4)
    dump_svmlight_file(x, rng.integers(1, 4, n), str(tmp_path / "b"), zero_based=False)
    inputs, labels = read_libsvm(tmp_path / "b", features=d)
    expected, targets = load_svmlight_file(str(tmp_path / "b"), n_features=d, zero_based=False)
    np.testing.assert_array_equal(inputs, expected.toarray().astype(np.float32))
    np.testing.assert_array_equal(labels, targets)


def test_real_labels_make_a_regression(tmp_path):
    (tmp_path / "r").write_text("".join(f"{i / 4} 1:{i}\n" for i in range(40)))
    data = lc.load_data(f"libsvm:{tmp_path / 'r'}")
    assert data.classes == 0
    assert data.train.targets.dtype == np.float32


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("spam 1:1", "'spam'"),
        ("1 1:1 2", "'2'"),
        ("1 1:1 2:x", "'2:x'"),
        ("1 1:1:1", "'1:1:1'"),
        ("1 1 2:3:4", "'1'"),
        ("1 0:1", "start at 1"),
        ("1 -1:1", "'-1:1'"),
        ("1 2:1 1:1", "does not follow index 2"),
        ("1 2:1 2:1", "does not follow index 2"),
        ("1 1.5:1", "'1.5:1'"),
        ("nan 1:1", "'nan'"),
        ("1 qid:3 1:1", "'qid:3'"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path, line, what):
    path = tmp_path / "broken.txt"
    path.write_text(f"1 1:1\n\n-1 2:1\n{line}\n1 1:1\n")
    with pytest.raises(ValueError, match=rf"broken\.txt, line 4: .*{what}"):
        read_libsvm(path)


def test_other_bad_files(tmp_path):
    (tmp_path / "empty").write_text("\n# nothing\n")
    (tmp_path / "wide").write_text("\n1 1:1\n2 2:1 7:1\n3 8:1\n")
    with pytest.raises(ValueError, match="no examples"):
        read_libsvm(tmp_path / "empty")
    with pytest.raises(ValueError, match="line 3: index 8 exceeds the 3 features"):
        read_libsvm(tmp_path / "wide", features=3)
    with pytest.raises(FileNotFoundError, match="none"):
        read_libsvm(tmp_path / "none")
    (tmp_path / "inf").write_text("1 1:1\n2 1:inf\n")
    with pytest.raises(ValueError, match="row 1"):
        lc.load_data(f"libsvm:{tmp_path / 'inf'}")


def write(path, labels, d=3):
    path.write_text("".join(f"{label:+d} {1 + i % d}:1\n" for i, label in enumerate(labels)))
    return path


@pytest.mark.parametrize("labels", [(-1, 1), (1, 2, 3)])
def test_labels_become_classes_and_the_test_file_is_found(tmp_path, labels):
    write(tmp_path / "set", np.resize(labels, 60))
    (tmp_path / "set.t.gz").write_bytes(gzip.compress(write(tmp_path / "x", np.resize(labels, 12), d=2).read_bytes()))
    data = lc.load_data(f"libsvm:{tmp_path / 'set'}", validation_fraction=0.25)
    assert data.classes == len(labels)
    assert [len(part.targets) for part in (data.train, data.validation, data.test)] == [45, 15, 12]
    assert data.test.inputs.shape == (12, 3)  # its third feature never occurs
    assert (data.offset, data.scale) == (0.0, 1.0)


def test_an_unknown_class_in_the_test_set_is_refused(tmp_path):
    write(tmp_path / "set", np.resize((1, 2), 60))
    write(tmp_path / "set.t", [1, 2, 3])
    with pytest.raises(ValueError, match="label 3 of the test split does not occur in the training split"):
        lc.load_data(f"libsvm:{tmp_path / 'set'}")


@pytest.mark.parametrize(
    ("name", "file", "features"),
    [
        ("dna", "dna/dna.scale.gz", 180),
        pytest.param("a9a", "a9a/a9a.gz", 123, marks=pytest.mark.slow),
        pytest.param("connect-4", "connect4/connect-4.2class.gz", 126, marks=pytest.mark.slow),
    ],
)
def test_splits_of_table_9(shared_data, name, file, features):
    sizes = TABLE_9[name]
    data = lc.load_data(
        f"libsvm:{shared_data / file}",
        validation_fraction=sizes.validation_fraction(),
        test_fraction=sizes.test_fraction(),
    )
    assert tuple(len(part.targets) for part in (data.train, data.validation, data.test)) == sizes
    assert data.train.inputs.shape[1] == features


def test_a9a_is_what_scikit_learn_reads(shared_data):
    inputs, labels = read_libsvm(shared_data / "a9a" / "a9a.t.gz", features=123)
    expected, targets = load_svmlight_file(str(shared_data / "a9a" / "a9a.t.gz"), n_features=123, zero_based=False)
    np.testing.assert_array_equal(inputs, expected.toarray().astype(np.float32))
    np.testing.assert_array_equal(labels, targets)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1_0 1:1", "line 2: the label '1_0' is not a number"),
        ("1 1_0:1", "line 2: '1_0:1' is not"),
        ("1 1:1_0", "line 2: '1:1_0' is not"),
        ("1\f1:1", r"line 2: the label '1\\x0c1:1' is not a number"),
        ("1 1:1\x1f2:1", "line 2: '1:1.*' is not"),
        ("1e30 1:1", r"line 2: the label 1e\+30 is too large for a class"),
        ("1e999 1:1", "line 2: the label inf is too large for a class"),
        ("1 99999999999999999999:1", "line 2: '99999999999999999999:1' is not"),
        ("1 4000000000:1", r"line 2 needs at least 29\.8 GiB .* index 4000000000 makes 2 x 4000000000 dense values"),
        ("1 " + "1:1" * 100_000, "line 2: '1:11:11:11:11:11:11:11:11:11:11:11:11:11...' is not"),
    ],
)  # fmt: skip
def test_numbers_are_ascii_and_sizes_bounded(tmp_path, text, what):
    (tmp_path / "a").write_text(f"1 1:1\n{text}\n")
    with pytest.raises(ValueError, match=rf"a, {what}"):
        read_libsvm(tmp_path / "a")


def test_digits_of_other_scripts_are_refused(tmp_path):
    (tmp_path / "a").write_text("1 1:\uff11\n")
    with pytest.raises(ValueError, match="line 1: byte 0xef at offset 4 is not ASCII"):
        read_libsvm(tmp_path / "a")


def test_a_test_set_does_not_widen_the_training_set_beyond_the_limit(tmp_path):
    (tmp_path / "a").write_text("1 1:1\n" * 1000)
    (tmp_path / "a.t").write_text("1 1000000:1\n")
    source = read_libsvm_splits(tmp_path / "a")
    assert [inputs.shape for inputs, _ in source.splits.values()] == [(1000, 1), (1, 1)]
    (note,) = source.notes
    assert note.startswith("Kept 1 of 1,000,000 columns")
    assert note.endswith("; the largest index is on line 1 of a.t.")


def test_many_short_lines_do_not_fill_the_memory(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"1\n" * 2**16, 9) * 80)
    with pytest.raises(ValueError, match=r"a\.gz needs at least 0\.3"):
        read_libsvm(tmp_path / "a.gz")


def test_an_offset_too_large_for_float32_is_refused(tmp_path):
    """Numbers of float32 about 1e8 are eight apart."""
    x = np.random.default_rng(0).normal(size=120)
    (tmp_path / "a").write_text("\n".join(f"{int(value > 0)} 1:{1e8 + value:.6f}" for value in x))
    with pytest.raises(ValueError, match=r"column 0 .* varies by 0.95\d about 1e\+08, .* subtract its mean"):
        lc.load_data(f"libsvm:{tmp_path / 'a'}")
