"""Folders of results: a result is replaced on request only."""

import json
from pathlib import Path

import pytest

from lcjax.cli.folders import claim_folder, finish_folder


def claim(folder, force=False, resume=True, results=("a.json",), **options):
    claim_folder(folder, {"command": "fit", "seed": 0, **options}, results, force=force, resume=resume)


def test_a_result_is_not_replaced_unasked(tmp_path):
    claim(tmp_path, resume=False, draws=5)
    (tmp_path / "a.json").write_text("{}")
    claim(tmp_path, resume=False, draws=5)  # it was interrupted before its end
    finish_folder(tmp_path)
    with pytest.raises(
        ValueError, match=r"holds a\.json of this command: choose .*, pass --resume .*, or pass --force"
    ):
        claim(tmp_path, resume=False, draws=5)
    with pytest.raises(ValueError, match=r"--output, or pass --force to replace the results\.$"):
        claim(tmp_path, resume=None, draws=5)
    claim(tmp_path, resume=True, draws=5)
    with pytest.raises(ValueError, match="of another configuration"):
        claim(tmp_path, resume=True, draws=6)
    claim(tmp_path, force=True, resume=False, draws=6)


def test_a_resumed_command_that_fails_leaves_the_result_protected(tmp_path):
    free = {"results": ["a.json"], "force": False, "free": ["sizes"]}
    old, new = ({"command": "collect", "sizes": sizes} for sizes in ("10", "10,20"))
    claim_folder(tmp_path, old, **free)
    (tmp_path / "a.json").write_text("{}")
    finish_folder(tmp_path)
    claim_folder(tmp_path, new, resume=True, **free)  # and then it fails
    with pytest.raises(ValueError, match=r"holds a\.json of this command"):
        claim_folder(tmp_path, old, resume=False, **free)
    claim_folder(tmp_path, new, resume=True, **free)
    finish_folder(tmp_path)
    assert json.loads((tmp_path / "command.json").read_text()) == {**new, "finished": True}


def test_a_dry_run_leaves_the_configuration_alone(tmp_path):
    configuration = {"command": "fit"}
    claim_folder(tmp_path, configuration, ["a.json"], force=False, write=False)
    assert not list(tmp_path.iterdir())


def test_results_of_other_options_are_not_replaced(tmp_path):
    claim(tmp_path, draws=5, form=["m4"])
    claim(tmp_path, draws=6, form=None)  # there are no results yet
    (tmp_path / "a.json").write_text("{}")
    claim(tmp_path, draws=6, form=None)
    with pytest.raises(ValueError, match=r"of another configuration, with --draws=6 instead of 5\. .*--force"):
        claim(tmp_path, draws=5, form=None)
    with pytest.raises(ValueError, match=r"without --form=\['m4'\]\."):
        claim(tmp_path, draws=6, form=["m4"])
    with pytest.raises(ValueError, match=r"without --level=0\.5\."):
        claim(tmp_path, draws=6, form=None, level=0.5)
    with pytest.raises(ValueError, match="of another command, 'fit'"):
        claim_folder(tmp_path, {"command": "rank"}, ["a.json"], force=False)
    with pytest.raises(ValueError, match=r"holds a\.json of another command, 'fit'"):
        claim_folder(tmp_path, {"command": "rank"}, ["b.json"], force=False)
    (tmp_path / "a.json").unlink()
    claim_folder(tmp_path, {"command": "rank"}, ["b.json"], force=False)  # nothing but command.json is there
    (tmp_path / "a.json").write_text("{}")
    claim(tmp_path, force=True, draws=5)
    stored = json.loads((tmp_path / "command.json").read_text())
    assert stored == {"command": "fit", "seed": 0, "draws": 5, "finished": False}


@pytest.mark.parametrize("stored", [None, "[]", "null", '{"a": 1}'])
def test_results_of_unknown_options_are_not_replaced(tmp_path, stored):
    (tmp_path / "a.json").write_text("written by hand")
    if stored is not None:
        (tmp_path / "command.json").write_text(stored)
    with pytest.raises(ValueError, match=r"a\.json of an unknown configuration, as there is no valid command\.json"):
        claim(tmp_path)
    assert (tmp_path / "a.json").read_text() == "written by hand"
    if stored is not None:
        (tmp_path / "a.json").unlink()
        with pytest.raises(ValueError, match=r"command\.json was not written by lcjax"):
            claim(tmp_path)
    (tmp_path / "command.json").write_text("{")
    with pytest.raises(ValueError, match=r"command\.json cannot be read"):
        claim(tmp_path)
    claim(tmp_path, force=True)


def test_files_of_one_name_in_two_folders_are_two_configurations(tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "first")
    claim(tmp_path, force=True, file=Path("curves.csv"))
    claim(tmp_path, file=tmp_path / "first" / "curves.csv")
    monkeypatch.chdir(tmp_path / "second")
    with pytest.raises(ValueError, match=r"--file='.*first/curves\.csv' instead of '.*second/curves\.csv'"):
        claim(tmp_path, file=Path("curves.csv"))


def test_every_command_keeps_the_results_of_other_options(lcjax, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise ValueError("begun")

    monkeypatch.setattr("lcjax.studies.simulation.simulate_learning_curve", stop)
    output, result = ["simulate", "--output", tmp_path], tmp_path / "simulation.json"
    assert lcjax(*output)[2].strip() == "lcjax: begun"
    result.write_text("{}")
    assert lcjax(*output)[2].strip() == "lcjax: begun"  # it has not ended
    finish_folder(tmp_path)
    for same in ([], ["--json"], ["--device", "cpu"], ["--radius", "1"]):
        code, out, err = lcjax(*output, *same)
        assert (code, out) == (1, "")
        assert "holds simulation.json of this command: choose another folder with --output, or pass --force" in err
        assert lcjax(*output, *same, "--force")[2].strip() == "lcjax: begun"
        finish_folder(tmp_path)
    for other, words in ((["--radius", 2], "--radius=1.0 instead of 2.0"), (["--seed", 1], "--seed=0 instead of 1")):
        code, out, err = lcjax(*output, *other)
        assert (code, out) == (1, "")
        assert err.startswith(f"lcjax: {tmp_path} holds simulation.json of another configuration, with {words}. ")
        assert lcjax(*output, *other, "--force")[2].strip() == "lcjax: begun"
        assert lcjax(*output, "--force")[2].strip() == "lcjax: begun"
