"""Tables of Bisla et al. (2021)."""

from lcjax.papers.bisla import FRACTIONS, TABLE_1, TABLE_2, TABLE_3


def test_rows_of_table_3_have_one_dimension_each():
    for row in TABLE_3.values():
        lengths = {len(numbers) for numbers in (row.train_mean, row.train_variance, row.test_mean, row.test_variance)}
        assert lengths == {row.dimension}
        assert row.fractions[-1] == 1.0
        assert list(row.fractions) == sorted(row.fractions)
    assert [row.dimension for row in TABLE_3.values()] == [2, 2, 2, 2, 2, 3, 1]
    assert TABLE_3["mnist-lenet"].fractions == FRACTIONS


def test_dimension_falls_with_capacity():
    assert sorted(TABLE_2.values(), reverse=True) == list(TABLE_2.values())
    assert {TABLE_1[2, second] for second in (4, 8, 16)} == {3}
    assert len(TABLE_1) == 9
