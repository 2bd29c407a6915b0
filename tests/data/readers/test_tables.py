"""Tables as data sets: target, splits, groups and options in the path."""

import numpy as np
import pytest

import lcjax as lc
from lcjax.data.readers.tables import split_options


def rows(count):
    rng = np.random.default_rng(0)
    columns = (
        [f"{value:.3f}" for value in rng.normal(size=count)],
        ["" if i % 7 == 0 else f"{i % 5}" for i in range(count)],
        [("red", "green", "blue")[i % 3] for i in range(count)],
        ["ab"[i % 2] for i in range(count)],
        [f"{i % 9}" for i in range(count)],
    )
    return [",".join(row) for row in zip(*columns, strict=True)]


@pytest.fixture
def write(tmp_path):
    def write(lines, name="set.csv", heading="x,k,color,label,site"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([*([heading] if heading else []), *lines]) + "\n")
        return path

    return write


def test_a_table_is_encoded_split_and_normalized(write):
    path = write(rows(120))
    data = lc.load_data(f"csv:{path}")
    assert [len(part.targets) for part in (data.train, data.validation, data.test)] == [80, 16, 24]
    assert (data.train.inputs.shape, data.classes, data.split_at_random) == ((80, 7), 2, True)
    scaled = (data.train.inputs - data.offset) * data.scale
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    assert [note.split(" ")[0] for note in data.notes] == ["The", "Missing", "Text"]
    assert data.notes[0] == "The column 'label' is used as target."


def test_the_target_and_dropped_columns_are_named_in_the_path(write):
    path = write(rows(60))
    data = lc.load_data(f"csv:{path}?target=x&drop=label,site")
    assert (data.classes, data.train.inputs.shape[1]) == (0, 5)
    other = lc.load_data(f"csv:{path}?drop=label,site", target_column="x")
    np.testing.assert_array_equal(data.train.inputs, other.train.inputs)
    assert lc.load_data(f"csv:{path}?target=site", regression=True).classes == 0


def test_rows_without_a_target_are_left_out_and_counted(write):
    lines = rows(60)
    lines[3] = lines[3].replace(",b,", ",,")
    data = lc.load_data(f"csv:{write(lines)}")
    assert sum(len(part.targets) for part in (data.train, data.validation, data.test)) == 59
    assert "Left out: 1 rows without a target." in data.notes


def test_groups_are_a_column_which_is_no_input(write):
    data = lc.load_data(f"csv:{write(rows(120))}", groups="site")
    assert data.train.inputs.shape[1] == 6
    groups = [set(part.groups.tolist()) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_official_splits_are_files_of_a_folder_or_a_column(write, tmp_path):
    write(rows(60), "folder/train.csv")
    lines = [",".join(np.array(line.split(","))[[3, 0, 1, 2, 4]]) for line in rows(20)]
    write(lines, "folder/test.csv", "label,x,k,color,site")
    data = lc.load_data(f"csv:{tmp_path / 'folder'}")
    assert [len(part.targets) for part in (data.train, data.validation, data.test)] == [50, 10, 20]
    np.testing.assert_allclose(data.test.inputs[:, 0], [float(row.split(",")[0]) for row in rows(20)], rtol=1e-6)
    parts = [f"{line},{('train', 'Val', 'test')[i % 3]}" for i, line in enumerate(rows(90))]
    data = lc.load_data(f"csv:{write(parts, heading='x,k,color,label,site,split')}")
    assert [len(part.targets) for part in (data.train, data.validation, data.test)] == [30, 30, 30]


def test_a_file_without_a_heading(write):
    path = write(rows(60), heading="")
    with pytest.raises(
        ValueError, match=r"its first line holds numbers; put a header row .* add \?heading=no&target=5"
    ):
        lc.load_data(f"csv:{path}")
    assert lc.load_data(f"csv:{path}?heading=no&target=4").classes == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?target=price", "target=price, but it has no column of that name; its columns are x, k, color, label, site"),
        ("?drop=a", "drop=a, but it has no column of that name"),
        ("?tarjet=x", "unknown option 'tarjet'; options are target, drop, split and heading"),
        ("?split=color", r"set\.csv, line 2: color must be train, validation or test, got 'red'"),
        ("?target=label&drop=x,k,color,site", "has no column beside 'label'"),
    ],
)
def test_options_that_do_not_fit_are_refused(write, options, message):
    with pytest.raises(ValueError, match=message):
        lc.load_data(f"csv:{write(rows(30))}{options}")


def test_a_target_that_is_not_known_is_asked_for(write):
    with pytest.raises(ValueError, match=r"no column named target, targets, label or y; its columns are a, b\. .*\?ta"):
        lc.load_data(f"csv:{write(['1,2', '3,4'], heading='a,b')}")
    with pytest.raises(ValueError, match=r"'label' and 'y' may each be the target; add \?target=label"):
        lc.load_data(f"csv:{write(['1,2', '3,4'], heading='y,label')}")


def test_a_parquet_file_has_the_same_data(write, tmp_path):
    csv, parquet = pytest.importorskip("pyarrow.csv"), pytest.importorskip("pyarrow.parquet")
    path = write(rows(60))
    parquet.write_table(csv.read_csv(path), tmp_path / "set.parquet")
    first, second = lc.load_data(f"csv:{path}"), lc.load_data(f"parquet:{tmp_path / 'set.parquet'}")
    assert first.fingerprint() == second.fingerprint()


def test_a_file_that_takes_too_much_memory_is_refused(write, monkeypatch):
    monkeypatch.setenv("LCJAX_MEMORY_LIMIT", "1e-6")
    with pytest.raises(ValueError, match="of memory, more than the limit of 1e-06 GiB for this file"):
        lc.load_data(f"csv:{write(rows(60))}")


def test_a_question_mark_in_a_name_is_no_option(tmp_path):
    (tmp_path / "a?b=1.csv").touch()
    assert split_options(str(tmp_path / "a?b=1.csv")) == (str(tmp_path / "a?b=1.csv"), {})
    assert split_options("a.csv?target=my%20price") == ("a.csv", {"target": "my price"})
