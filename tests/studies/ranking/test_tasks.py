"""Tasks of the paper: consistent data, models and sizes, and the printed exponents."""

import dataclasses

import numpy as np
import optax
import pytest

import lcjax as lc
from lcjax.studies.ranking import tasks as hestness_tasks
from lcjax.studies.ranking.scales import REPORTED, SMOKE
from lcjax.studies.ranking.tasks import find_data, hestness_task
from lcjax.training import momentum, nesterov

EXPONENTS = {  # of error and model size: Table 2, then Table 3 and the text where they differ
    "images": ((-0.309,), (0.57,)),
    "words": ((-0.066,), (0.68,)),
    "words, LSTM of 4 layers": ((-0.066,), (0.68, 0.89)),
    "words, RHN": ((-0.066, -0.070), (0.68,)),
    "characters": ((-0.092, -0.094), (0.89, 0.92)),
    "characters, momentum": ((-0.092, -0.094), (0.89, 0.78)),
    "translation": ((-0.128,), (0.68,)),
    "translation, dropout": ((-0.128,), (0.68,)),
    "speech, CTC": ((-0.291, -0.299), (0.54,)),
    "speech, attention": ((-0.291, -0.296), (0.54,)),
}


DEAR = ("translation", "speech", "words, ")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n.startswith(DEAR) else n for n in EXPONENTS]
)
def test_every_task_is_made_of_the_real_data(shared_data, name):
    """Check that data, models and sizes are consistent: every model is initialized on examples of the task."""
    tiny = dataclasses.replace(SMOKE, validation=20)
    task = hestness_task(name, find_data(shared_data, name), tiny)
    assert task.sizes[-1] >= 16 * task.sizes[0] - 16
    assert len(task.sizes) >= 5
    parameters = task.parameters().tolist()
    assert parameters == sorted(parameters)
    task.data.check()
    assert (task.paper_exponents(task.metric), task.paper_exponents("model size")) == EXPONENTS[name]
    assert ("no dropout" in task.note) == (name == "translation")
    assert ("one learning rate, not selected" in task.note) == (len(task.rates) == 1)


def test_images_start_at_one_example_per_class():
    task = hestness_task("images", "digits", SMOKE)
    assert (task.sizes[0], task.sizes[-1], len(task.sizes)) == (10, 1198, 8)
    assert [program.model.widths for program in task.programs] == [(16, 16), (64, 64), (256, 256)]
    assert {program.optimizer for program in task.programs} == {optax.adam}
    assert task.rates == (3e-3, 1e-3)
    assert task.note.endswith("; 2 learning rates")
    assert (task.programs[0].batch, task.programs[0].budget) == (64, SMOKE.extents["images"].budget())
    reported = hestness_task("images, momentum", "digits", REPORTED)
    assert {program.optimizer for program in reported.programs} == {momentum}
    assert reported.rates == (0.1, 0.02)
    filters = [program.model.filters for program in hestness_task("images, LeNet", "digits", SMOKE).programs]
    assert filters == [(2, 4), (4, 10), (6, 16)]


def test_residual_networks_rank_as_other_images():
    task = hestness_task("images, ResNet", "digits", SMOKE)
    assert [program.model.width for program in task.programs] == [4, 8, 16]
    assert {program.optimizer for program in task.programs} == {nesterov}
    assert task.paper_exponents("error") == (-0.309,)


def test_frames_are_averaged():
    """Frames are averaged in whole groups; frames that do not fill a group are dropped."""
    frames = np.arange(2 * 7 * 3, dtype=np.float32).reshape(2, 7, 3)
    part = lc.Examples({"frames": frames, "length": np.array([7, 4])}, np.zeros((2, 1), np.int32))
    data = lc.Data(part, part, part, classes=2, name="toy")
    task = lc.data.SequenceTask(data, lc.data.Vocabulary(("a", "b")), "utterances")
    averaged = hestness_tasks._average_frames(task, 2).data
    for split in (averaged.train, averaged.validation, averaged.test):
        assert split.inputs["length"].tolist() == [3, 2]
        np.testing.assert_array_equal(split.inputs["frames"][1], (frames[1, 0:6:2] + frames[1, 1:6:2]) / 2)


def test_only_a_front_of_a_tfds_set_is_read(monkeypatch):
    """LM1B has 30 million sentences, the largest shard 1,600 windows."""

    def load(name, **options):
        raise ValueError(f"{name} by {options['most']}")

    monkeypatch.setattr(hestness_tasks, "load_sequences", load)
    for name, path in (("words", "tfds-words:lm1b"), ("speech, CTC", "tfds-speech:librispeech")):
        most = 8 * SMOKE.extents[name.partition(",")[0]].most
        with pytest.raises(ValueError, match=f"^{path} by {most}$"):
            hestness_task(name, path, SMOKE)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("one two three four\n" * 400)
    return path


def test_a_task_may_name_its_reader(text):
    """A user's text or a TFDS data set is ranked like those of the paper."""
    tiny = dataclasses.replace(SMOKE, words=5, validation=1)
    task = hestness_task("words", f"words:{text}", tiny)
    assert task.data.name == f"words:{text}"
    assert task.note.startswith("5 words; Adam, where the paper uses SGD; 2 learning rates; 1 validation and 1 test")
    assert len(task.data.validation.targets) == len(task.data.test.targets) == 1
    n = len(task.data.train.targets)
    assert task.sizes == tuple(sorted({max(2, int(n * share)) for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)}))
    assert task.count_tokens
    with pytest.raises(OSError, match=r"own\.txt"):
        hestness_task("characters", f"parallel:{text}", tiny)


@pytest.mark.parametrize(
    ("name", "layers", "depth", "dropout", "optimizer"),
    [
        ("words, LSTM of 4 layers", 4, None, 0.0, optax.adam),
        ("words, RHN", 1, 5, 0.0, optax.adam),
        ("words, dropout", 2, None, 0.2, optax.adam),
        ("words, momentum", 2, None, 0.0, momentum),
    ],
)
def test_variants_differ_in_what_they_name(text, name, layers, depth, dropout, optimizer):
    task = hestness_task(name, f"words:{text}", dataclasses.replace(SMOKE, words=5))
    for program, units in zip(task.programs, SMOKE.extents["words"].units, strict=True):
        model = program.model
        assert (model.layers, model.depth, model.dropout, program.optimizer) == (layers, depth, dropout, optimizer)
        assert model.units == units
    assert ("Adam" in task.note) == (optimizer is optax.adam)


def test_unknown_tasks_and_missing_data(tmp_path):
    with pytest.raises(ValueError, match="Unknown task 'chess'"):
        hestness_task("chess", "", SMOKE)
    with pytest.raises(FileNotFoundError, match=r"'speech, CTC' needs .*fsdd\.npz"):
        find_data(tmp_path, "speech, CTC")
    (tmp_path / "mnist").mkdir()
    assert find_data(str(tmp_path), "images, LeNet") == f"idx:{tmp_path / 'mnist'}"
