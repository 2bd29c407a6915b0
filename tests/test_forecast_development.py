"""The development sets of the forecaster and its ablation: sizes, seeds, what is held out, and the command."""

import csv
import importlib
import json

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.forecast import development
from benchmarks.forecast.development import apply, development_sets, find_variants, is_held_out, shift_floor
from benchmarks.forecast.synthetic import SAMPLERS, CutCurve, make_set, nsl, nsl_downward, nsl_upward, synthetic_sets
from lcjax.curves.forecast.families import FAMILIES, Shape
from lcjax.curves.forecast.noise import NOISE

CURVES = 12
LCDB = ("random", "half", "quarter", "short")
RECORDED = [f"{name} {cut}" for name in ("few-shot", "training error", "training loss") for cut in (0.5, 0.3)]
RECORDED += [f"flight {name} {cut}" for name in ("error", "loss") for cut in (0.5, 0.3)]
NOISE_OF_NSL = np.exp(-5.0)


@pytest.fixture(scope="module")
def sets(shared_data):
    if not (shared_data / "lcdb11").is_dir():
        pytest.skip(f"LCDB 1.1 not found: no folder {shared_data / 'lcdb11'}")
    return development_sets(shared_data, CURVES)


def columns(cases):
    """Return the fitted and the held-out number of sizes of every case."""
    return (~np.isnan(cases.error)).sum(axis=1), cases.present.sum(axis=1)


# Sets


def test_sets_have_the_promised_sizes(sets):
    assert list(sets) == [*LCDB, *SAMPLERS, *RECORDED]
    assert {name: len(cases) for name, cases in sets.items()} == dict.fromkeys(sets, CURVES)
    for name, cases in sets.items():
        fitted, held = columns(cases)
        assert fitted.min() >= 5, name
        assert held.min() >= 2, name
        assert np.nanmax(cases.size) <= cases.cut.max()
        assert np.all(cases.held_size[cases.present] > np.repeat(cases.cut, held))
        assert set(cases.family) == {name}
        assert len(set(zip(cases.name, cases.cut, strict=True))) == CURVES


def test_smaller_sets_are_part_of_larger_ones(sets, shared_data):
    again = development_sets(shared_data, CURVES)
    assert {name: cases.digest() for name, cases in again.items()} == {n: c.digest() for n, c in sets.items()}
    for name, cases in development_sets(shared_data, 3).items():
        assert set(cases.name) <= set(sets[name].name), name


def test_lcdb_has_even_data_sets_only(sets):
    for name in ("random", "half", "quarter"):
        assert all(int(cluster.removeprefix("data set ")) % 2 == 0 for cluster in sets[name].cluster)
        assert sets[name].step == 1e-4
    members = [name.split("[")[1].rstrip("]").split(", ") for name in sets["short"].name]
    assert all(len(numbers) == 8 for numbers in members)
    assert all(int(number) % 2 == 0 for numbers in members for number in numbers)
    assert len({name for kind in LCDB[:3] for name in sets[kind].name}) == 3 * CURVES


def test_lcdb_errors_are_those_of_the_even_half(sets, shared_data):
    meta = json.loads((shared_data / "lcdb11" / "lcdb11_meta.json").read_text())
    packed = np.load(shared_data / "lcdb11" / "lcdb11_error_rate.npz")["er"]
    for name in ("random", "half", "quarter"):
        cases = sets[name]
        for curve, size, error in zip(cases.name, cases.held_size, cases.held_error, strict=True):
            learner, data_set = curve.split(", data set ")
            stored = packed[int(data_set), meta["learners"].index(learner), 0, :, 1] * 1e-4
            there = ~np.isnan(error)
            place = np.searchsorted(meta["anchors"], size[there])
            np.testing.assert_allclose(error[there], stored[place])


def test_random_cuts_follow_evenly_spaced_sizes(sets):
    cases = sets["random"]
    for size, cut, held in zip(cases.size, cases.cut, cases.held_size, strict=True):
        size = size[~np.isnan(size)]
        assert size[-1] == cut
        assert 12 * 0.9 < cut / size[0] < 250 * 1.1 or size[0] == 16  # the smallest size of LCDB
        spacing = np.diff(size)[:-1]  # the last size is the cut
        assert spacing.min() > 0.03 * cut
        assert spacing.max() < 0.1 * cut
        assert 1.8 < np.nanmax(held) / cut < 2.2


def test_held_out_networks_and_runs_are_absent():
    with (development.RESULTS / "dense-curves" / "curves.csv").open() as file:
        networks = {row["Model"] for row in csv.DictReader(file)}
    held_out = {name for name in networks if is_held_out(name)}
    assert held_out == {"lenet-s0", "lenet-s4", "resnet8-s8", "quick-s12", "strided-s16"}
    for curves in development._dense_curves().values():
        assert {curve.cluster for curve in curves} == networks - held_out
    with (development.RESULTS / "runs-in-flight" / "runs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["half"] == "development"]
    rates = {row["learning_rate"] for row in rows}
    for name, curves in development._runs_in_flight().items():
        assert len(curves) <= len(rows), name
        assert {curve.name.rpartition(" ")[2] for curve in curves} <= rates


# Synthetic curves


def test_synthetic_curves_are_finite_and_positive():
    sets = synthetic_sets(20)
    assert list(sets) == ["nsl", "nsl down", "nsl up", "rough", "classifier"]
    for name, cases in sets.items():
        fitted, held = columns(cases)
        assert (fitted.min() >= 10, held.min() >= 10) == (True, True), name
        for values in (cases.error[~np.isnan(cases.error)], cases.held_error[cases.present]):
            assert np.all((values > 0) & (values < 1.5)), name
        assert cases.digest() == synthetic_sets(20)[name].digest()
        assert len(set(cases.cluster)) == 20


@pytest.mark.parametrize("sample", [nsl, nsl_downward, nsl_upward])
def test_nsl_curves_have_the_published_ranges(sample):
    for seed in range(20):
        curve = sample(np.random.default_rng(seed))
        assert len(curve.size) == 60
        np.testing.assert_allclose(curve.size[[0, -1]], [1e3, 1e5])
        assert np.all(np.diff(curve.size) > 0)
        assert 0.3 <= np.mean(curve.size < curve.cut) < 0.7
        assert curve.error.min() >= 0.01
        assert 0.2 - 6 * NOISE_OF_NSL < curve.error[0] < 1.2 + 6 * NOISE_OF_NSL
        if sample is nsl_upward:
            assert np.all(curve.error <= curve.error[0])
        else:
            assert np.all(np.diff(curve.error) < 9 * NOISE_OF_NSL)  # falls, apart from the noise


def test_upward_break_rises():
    """The rise of an upward break, at most 0.7 times its length, exceeds the noise in part of the curves."""
    rises = []
    for seed in range(40):
        error = nsl_upward(np.random.default_rng(seed)).error
        rises.append(np.max(error - np.minimum.accumulate(error)))
    assert np.mean(np.array(rises) > 8 * NOISE_OF_NSL) > 0.2


def test_set_pads_curves_of_different_lengths():
    curves = [CutCurve(np.arange(1.0, n), 1 / np.arange(1.0, n), 4.0, "a", f"curve {n}") for n in (7, 9)]
    cases = make_set("made", curves)
    np.testing.assert_array_equal(cases.held_size, [[5, 6, np.nan, np.nan], [5, 6, 7, 8]])
    assert cases.family.tolist() == ["made", "made"]


# Variants


def test_variants_name_existing_constants():
    variants = find_variants()
    assert next(iter(variants)) == "base"
    assert not variants["base"].arguments
    assert not variants["base"].constants
    constants = {name for variant in variants.values() for name in variant.constants}
    assert constants == {
        *("draws._STRETCH", "draws._SURPRISE", "draws._BELOW", "draws._ABOVE"),
        *("posterior._EVIDENCE_POWER", "posterior._log_prior_of_end"),
    }
    for constant in constants:
        module, _, name = constant.partition(".")
        assert hasattr(importlib.import_module(f"lcjax.curves.forecast.{module}"), name)
    for variant in variants.values():
        assert variant.question.endswith(".")
        assert variant.name == "base" or bool(variant.arguments) != bool(variant.constants)


def test_constants_are_patched_and_restored():
    variant = find_variants()["no stretch"]
    module = importlib.import_module("lcjax.curves.forecast.draws")
    before = module._STRETCH

    def fail():
        with apply(variant) as method:
            assert method.name == "no stretch"
            assert module._STRETCH == 1.0 != before
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert before == module._STRETCH
    renamed = development.Variant("renamed", "A rename.", constants={"draws._NO_SUCH_CONSTANT": 0})
    with pytest.raises(AttributeError, match="_NO_SUCH_CONSTANT"), apply(renamed):
        pass


def test_variants_of_families_and_noise():
    variants = find_variants()
    for family in FAMILIES:
        assert variants[f"only {family.name}"].arguments["families"] == [family]
        assert family not in variants[f"without {family.name}"].arguments["families"]
        assert len(variants[f"without {family.name}"].arguments["families"]) == len(FAMILIES) - 1
    uneven = variants["uneven weights"].arguments["families"]
    assert all(
        family.log_weight != former.log_weight or former.name == "one_break"
        for family, former in zip(FAMILIES, uneven, strict=True)
    )
    white, undiscounted = (variants[name].arguments["noise"] for name in ("white noise only", "no discount"))
    assert len(white.length) == np.sum(np.asarray(NOISE.ratio) == 0)
    assert not np.any(white.ratio)
    assert not np.any(undiscounted.discount)
    columns = np.stack([getattr(undiscounted, name) for name in ("ratio", "length", "power", "smooth")])
    assert len(np.unique(columns, axis=1).T) == len(undiscounted.ratio)
    assert set(undiscounted.ratio) == set(np.asarray(NOISE.ratio))


def test_last_parameter_is_the_floor():
    for family in FAMILIES:
        changed = shift_floor(family, 0.7)
        before, after = (f.curve(jnp.asarray(f.location), jnp.zeros(1), jnp.ones(())) for f in (family, changed))
        assert isinstance(before, Shape)
        assert changed.log_weight == family.log_weight
        if family.name == "constant":
            np.testing.assert_array_equal(changed.location, family.location)
            continue
        assert float(after.floor) == pytest.approx(float(before.floor) + 0.7)
        for name in ("slope", "changes", "breaks", "width", "power", "place"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


# Command


@pytest.mark.slow
def test_command_compares_variants(sets, shared_data, tmp_path, capsys, monkeypatch):
    few = ("short", "nsl up", "few-shot 0.5")

    def some_sets(folder, curves):
        return {name: cases for name, cases in development_sets(folder, curves).items() if name in few}

    monkeypatch.setattr(development, "development_sets", some_sets)  # unoptimized programs take seconds a curve
    arguments = [str(shared_data), str(tmp_path), "--curves", "1", "--variants", "no stretch"]
    development.main(arguments)
    printed = capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"development.json", "development.md", "parts"}
    result = json.loads((tmp_path / "development.json").read_text())
    assert list(result["questions"]) == list(result["methods"]) == ["base", "no stretch"]
    assert set(result["methods"]["base"]["family"]) == set(few)
    base, other = (result["methods"][name]["all"] for name in ("base", "no stretch"))
    assert base["cases"] == len(few)
    assert base["log_error"] == pytest.approx(other["log_error"], rel=1e-2)  # the median of a sample moves a little
    assert base["interval_score"] != other["interval_score"]  # the constant reaches the compiled program
    table = (tmp_path / "development.md").read_text()
    assert table.count("\n") == 2 + 2 * (1 + len(few))
    assert "| no stretch: nsl up |" in table
    assert table in printed
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.npz")}
    assert len(written) == 2 * len(few)
    development.main(arguments)
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_unknown_variant_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        development.main([str(tmp_path), str(tmp_path), "--variants", "no such"])
    assert "No variant no such. Variants: base" in capsys.readouterr().err
