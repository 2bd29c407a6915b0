"""Plans of dry runs in words."""

import pytest

from lcjax.studies.dry_runs.plan import Plan, Planned, is_dry, plan_only
from lcjax.studies.dry_runs.trainings import plan_trainings


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89.0, "89 s"), (95.0, "1.6 minutes"), (7200.0, "2 hours"), (2e5, "2.3 days")]
)
def test_times_have_a_unit(seconds, words):
    plan = Plan("train", 3, 1, 3000, seconds, "steps", 2_500_000, 999, {"models": "a, b"}, is_first=True)
    assert plan.sentences() == [
        "Dry run: 3 trainings, 1 of which are stored; 2 are left, 3,000 optimizer steps together.",
        "Models: a, b.",
        f"Time: about {words}, from steps.",
        "Memory: about 2.5 MB without activations and the compiler.",
        "Disk: about 999 bytes.",
        "Trainings that depend on the results of these, or follow them, are not counted.",
    ]


def test_a_plan_ends_a_dry_run_only():
    def study():
        assert is_dry()
        raise Planned(Plan("a", 1, 0, None, None, "why"))

    with plan_only(), pytest.raises(Planned):
        study()
    assert not is_dry()


def test_the_time_of_a_collection_follows_from_its_trainings():
    left = [100, 100, 1000, 1000, 10_000, 10_000]
    plan = plan_trainings(left, [], 2)
    assert (plan.trainings, plan.finished, plan.seconds) == (6, 0, None)
    assert "Time: not known before the first training" in plan.sentences()[3]
    assert plan_trainings(left[1:], [(100, 0.5)]).seconds == pytest.approx(2.5)
    plan = plan_trainings([100, 1000, 10_000, 10_000], [(100, 0.5), (1000, 5.0)], 2)
    assert plan.seconds == pytest.approx((0.5 + 5 + 2 * 50) / 2)
    assert "size ** 1" in plan.basis
    assert plan_trainings([], [(size, 1.0) for size in left]).sentences() == [
        "Dry run: all 6 trainings are stored; the results would be computed from them."
    ]
