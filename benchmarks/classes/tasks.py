"""Classification tasks on which the pooling is developed: text, speech, tables, digits and synthetic classes."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse
from sklearn.datasets import load_digits, load_svmlight_file, make_classification

from benchmarks.prediction_sets.sets import read_fsdd
from lcjax.files import require_file

__all__ = ["TASKS", "Task"]

Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Inputs and labels of the training examples, then of the test examples; labels count from 0."""

SEED = 2026


def _split(inputs: np.ndarray, labels: np.ndarray, train: int, test: int) -> Task:
    """Divide examples at random."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    first, rest = order[:train], order[train : train + test]
    return inputs[first], labels[first], inputs[rest], labels[rest]


def digits(folder: Path) -> Task:
    """Digits of scikit-learn."""
    inputs, labels = load_digits(return_X_y=True)
    return _split(inputs / 16, labels, 1024, 773)


def distorted_digits(folder: Path, *, noise: float) -> Task:
    """Digits rotated, scaled, shifted and with noise on the pixels; those tested are of other originals."""
    inputs, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(SEED)
    parts: list[np.ndarray] = []
    order = rng.permutation(len(labels))
    for source, count in ((order[:1000], 25_600), (order[1000:], 10_000)):
        chosen = rng.choice(source, count)
        angle, scale = rng.normal(0, 0.2, count), np.exp(rng.normal(0, 0.1, count))
        shift = rng.normal(0, 0.7, (count, 2))
        images = np.empty((count, 8, 8), np.float32)
        for i, (place, turn, size) in enumerate(zip(chosen, angle, scale, strict=True)):
            matrix = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            offset = np.full(2, 3.5) - matrix @ (np.full(2, 3.5) + shift[i])
            images[i] = ndimage.affine_transform(inputs[place].reshape(8, 8) / 16, matrix, offset, order=1)
        images += noise * rng.normal(size=images.shape)
        parts += [images.reshape(count, -1), labels[chosen]]
    return parts[0], parts[1], parts[2], parts[3]


def spoken(folder: Path, *, speakers: bool) -> Task:
    """Spoken digits, or their speakers, from spectrograms."""
    train, test = read_fsdd(folder / "fsdd")
    inputs, labels = np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])
    if speakers:
        archive = np.load(require_file(folder / "fsdd" / "fsdd.npz"), allow_pickle=False)
        first = archive["take"] < 5
        labels = np.concatenate([archive["speaker"][~first], archive["speaker"][first]]).astype(int)
    return _split((inputs - inputs.mean(axis=0)) / inputs.std(), labels, 1280, 1720)


def splice_junctions(folder: Path) -> Task:
    """Splice junctions, three classes."""
    parts: list[np.ndarray] = []
    for name in ("dna.scale.gz", "dna.scale.t.gz"):
        inputs, labels = load_svmlight_file(str(require_file(folder / "dna" / name)), n_features=180)
        parts += [np.asarray(inputs.todense()), labels.astype(int) - 1]
    return parts[0], parts[1], parts[2], parts[3]


def census(folder: Path, *, first: int, last: int) -> Task:
    """One attribute of a9a, columns `first` to `last` of its coding, from the others; rare values are left out."""
    inputs, _ = load_svmlight_file(str(require_file(folder / "a9a" / "a9a.gz")), n_features=123)
    table = np.asarray(inputs.todense(), np.float32)
    target, rest = table[:, first:last], np.delete(table, np.s_[first:last], axis=1)
    frequent = np.flatnonzero(target.sum(axis=0) >= 900)
    kept = target[:, frequent].sum(axis=1) == 1
    return _split(rest[kept], target[kept][:, frequent].argmax(axis=1), 12_800, 10_000)


def characters(folder: Path, *, source: str, window: int, classes: int) -> Task:
    """Next character of a text, among the most frequent ones, from the characters before it."""
    text = gzip.decompress(require_file(folder / source).read_bytes()).decode()
    _, codes = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
    count = np.bincount(codes)
    frequent = np.sort(np.argsort(-count)[:classes])
    place = np.flatnonzero(np.isin(codes, frequent))
    place = place[place >= window]
    rng, cut = np.random.default_rng(SEED), int(0.8 * len(codes))
    chosen = np.concatenate([
        rng.choice(place[place < cut], 25_600, replace=False), rng.choice(place[place > cut], 20_000, replace=False)
    ])  # fmt: skip
    known = np.argsort(-count)[:60]
    index = np.full(len(count), 60)
    index[known] = np.arange(60)
    before = index[codes[chosen[:, None] - np.arange(1, window + 1)]]
    inputs = np.eye(61, dtype=np.float32)[before].reshape(len(chosen), -1)
    labels = np.searchsorted(frequent, codes[chosen])
    return inputs[:25_600], labels[:25_600], inputs[25_600:], labels[25_600:]


def words(folder: Path, *, classes: int) -> Task:
    """Next word of the Penn Treebank, among the most frequent ones, from the two words before and the one behind."""
    text = gzip.decompress(require_file(folder / "ptb" / "ptb.train.txt.gz").read_bytes()).decode()
    tokens = text.replace("\n", " <eos> ").split()
    names, codes, count = np.unique(tokens, return_inverse=True, return_counts=True)
    skipped = {"<unk>", "N", "<eos>"}
    frequent = np.array([i for i in np.argsort(-count) if names[i] not in skipped][:classes])
    index = np.full(len(count), 800)
    index[np.argsort(-count)[:800]] = np.arange(800)
    place = np.flatnonzero(np.isin(codes, frequent))
    place = np.random.default_rng(SEED).choice(place[(place > 2) & (place < len(codes) - 1)], 45_600, replace=False)
    near = index[codes[place[:, None] + np.array([-2, -1, 1])]] + 801 * np.arange(3)
    rows = np.repeat(np.arange(len(place)), 3)
    inputs = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, near.ravel())), (len(place), 3 * 801))
    labels = np.argmax(codes[place][:, None] == frequent, axis=1)
    return inputs[:25_600], labels[:25_600], inputs[25_600:], labels[25_600:]


def clusters(folder: Path, *, separation: float, noise: float) -> Task:
    """Ten classes of two Gaussian clusters each; a share `noise` of the labels is random."""
    inputs, labels = make_classification(
        22_800, 30, n_informative=12, n_redundant=6, n_classes=10, n_clusters_per_class=2,
        class_sep=separation, flip_y=noise, random_state=SEED,
    )  # fmt: skip
    return _split(inputs, labels, 12_800, 10_000)


def teacher(folder: Path, *, hidden: int, temperature: float) -> Task:
    """Classes drawn by a random network with one hidden layer from 20 normal inputs."""
    rng = np.random.default_rng(SEED)
    inputs = rng.normal(size=(35_600, 20))
    score = np.maximum(inputs @ rng.normal(size=(20, hidden)), 0) @ rng.normal(size=(hidden, 8)) / hidden**0.5
    score -= score.mean(axis=0)
    labels = (score / max(temperature, 1e-9) + rng.gumbel(size=score.shape)).argmax(axis=1)
    return _split(inputs, labels, 25_600, 10_000)


TASKS: dict[str, tuple[str, Callable[[Path], Task]]] = {
    "digits": ("digits", digits),
    "distorted digits": ("digits", lambda folder: distorted_digits(folder, noise=0.1)),
    "noisy digits": ("digits", lambda folder: distorted_digits(folder, noise=0.4)),
    "spoken digits": ("fsdd", lambda folder: spoken(folder, speakers=False)),
    "speakers": ("fsdd", lambda folder: spoken(folder, speakers=True)),
    "splice junctions": ("dna", splice_junctions),
    "occupation": ("a9a", lambda folder: census(folder, first=46, last=60)),
    "marital status": ("a9a", lambda folder: census(folder, first=39, last=46)),
    "Shakespeare": (
        "shakespeare",
        lambda folder: characters(folder, source="tinyshakespeare/input.txt.gz", window=5, classes=16),
    ),
    "German": ("multi30k", lambda folder: characters(folder, source="multi30k/train.de.gz", window=5, classes=16)),
    "words": ("ptb", lambda folder: words(folder, classes=12)),
    "clusters": ("clusters", lambda folder: clusters(folder, separation=1.5, noise=0.0)),
    "noisy clusters": ("clusters", lambda folder: clusters(folder, separation=1.0, noise=0.1)),
    "teacher": ("teacher", lambda folder: teacher(folder, hidden=20, temperature=0.0)),
    "noisy teacher": ("teacher", lambda folder: teacher(folder, hidden=10, temperature=0.3)),
}
"""Data set, which tasks may share, and reader of each task by name."""
