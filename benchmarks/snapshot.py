"""Exact numbers of small cases of every public function and command, compared before and after a refactoring.

A case finds its functions by their places in commit 7727763. `MOVES` and `RENAMES` hold their places in this tree,
`ADAPTERS` the calls that this tree spells in another way, and `FIELDS` and `as_before` the fields of its records and
JSON files. So one script runs on both trees, under the same settings, on the same machine, and its outputs compare:

    git archive 7727763 | tar -x -C BEFORE
    PYTHONPATH=BEFORE python benchmarks/snapshot.py before.json
    PYTHONPATH=. python benchmarks/snapshot.py after.json [--group NAME ...] [--coverage]
    python benchmarks/snapshot.py --compare before.json after.json [--rtol 1e-6]

Of sentences only the numbers are compared. The script pins itself to two processors.
"""

# Every function is found by name when it runs, so that there are no types to check.
# mypy: ignore-errors

import argparse
import base64
import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import inspect
import io
import json
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
import threading
import time
import wave
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # numbers are compared, not times
os.environ["LCJAX_CACHE"] = ""  # no execution is chosen by what was measured before
if hasattr(os, "sched_setaffinity"):  # the execution of a command's sweep depends on the number of processors
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

if not __package__:  # run by path: modules beside this one must not be taken for others, "compression" by JAX for one
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]

import jax
import jax.numpy as jnp
import numpy as np
import optax

# Places: package -> "module of 7727763: its new place" (below the same package, or from the root with a leading dot).
_MOVES = {
    "cli": """
        fit:curves.fit measure:curves.measure common:command compress:papers.compress interpolate:papers.interpolate
        randomize:papers.randomize randomize_tables:papers.randomize_tables rank:papers.rank
        table_three:theory.predict_tables dimension:theory.dimension predict:theory.predict simulate:theory.simulate""",
    "complexity": """
        randomization:corruption block_cholesky:.kernels.linear_systems.block_cholesky
        conjugate_gradients:.kernels.linear_systems.conjugate_gradients""",
    "curves": """
        bootstrap:fit.bootstrap curve_fit:fit.curve_fit diagnostics:fit.diagnostics
        exponent_prior:fit.exponent_prior fitting:fit.fit_curve search:fit.global_search objective:fit.objective
        repeats:fit.replicate_weights losses:fit.residual_losses back_test:forecast.backtest
        forecast:forecast.forecast mistakes:standard_errors two_way:.scaling.fit""",
    "data": """
        curves_csv:.curves.readers.csv cifar:readers.cifar driving:readers.driving idx:readers.idx
        libsvm:readers.libsvm npz:readers.npz recordings:readers.recordings spectrogram:readers.spectrogram
        speech:sequences.speech tfds:readers.tfds parallel_text:sequences.parallel_text
        sequence_sources:sequences.sources sequences:sequences.task text:sequences.text
        tfds_sequences:sequences.tfds tfds_speech:sequences.tfds_speech vocabulary:sequences.vocabulary""",
    "kernels": """
        quick_compile:compilation sorting:integer_sort neighbors.tiles:neighbors.boxes
        neighbors.scan:neighbors.brute_force neighbors.choice:neighbors.dispatch neighbors.exact:neighbors.distance
        neighbors.tree:neighbors.kdtree neighbors.products:neighbors.matmul neighbors.line:neighbors.sorted_line
        point_sets:sobol""",
    "models": """
        attention:layers.attention layers:layers.convolution pooling:layers.pooling recurrent:layers.recurrent
        objectives:losses language:sequence.language speech:sequence.speech translation:sequence.translation
        sequence_objectives:sequence_losses alexnet:vision.alexnet densenet:vision.densenet driving:vision.driving
        inception:vision.inception vision:vision.mlp quicknet:vision.quicknet resnet:vision.resnet vgg:vision.vgg""",
    "studies": """
        table_three:.papers.bisla sharma_tables:.papers.sharma zhang_tables:.papers.zhang
        compress:compression.compress compressed_loss:compression.compressed_loss sharma_losses:compression.losses
        net_accuracy:compression.evaluation sharma_nets:compression.nets compress_pictures:compression.pictures
        sharma_protocol:compression.subsets compress_tables:compression.tables
        compress_verdicts:compression.verdicts dimensions:dimension fit:fitting interpolate:interpolation
        measure:measurement predict:prediction.predict prediction:prediction.record stages:sweeps
        randomize_cases:randomization.cases measure_complexity:randomization.complexity
        zhang_protocol:randomization.recipe randomize:randomization.randomize rank:ranking.rank task:ranking.task
        task_curve:ranking.task_curve hestness_tasks:ranking.tasks simulate:simulation""",
    "theory": """
        finite_size:binomial_law subsampling:from_distances densities:gaussian neighbor_laws:laws
        contour:quadrature.mellin samples:monte_carlo polar:quadrature.polar radius:radius_fit gaps:spacings""",
    "training": """
        threads:.threads form_choice:execution.autotune forms:execution.heuristics processes:execution.multihost
        chunks:execution.scheduler placement:execution.sharded steps:execution.step streaming:execution.streamed
        optimization:optimizers orders:execution.permutations checkpoints:storage.checkpoints outcomes:storage.run_state
        store:storage.store engine:sweep checks:validation""",
}
# Names that changed or went to another module than the rest: 7727763's place -> the new one, both without "lcjax.".
RENAMES = {
    "complexity.capacity:vc_bound": "complexity.capacity:vc_bounds",
    "complexity.capacity:vc_dimension_of_net": "complexity.capacity:vc_dimension_of_network",
    "complexity.vc_bound:approximate_sphere": "kernels.enclosing_ball:approximate_sphere",
    "complexity.vc_bound:enclosing_sphere": "kernels.enclosing_ball:enclosing_sphere",
    "compression.pruning:prune_curve": "compression.pruning_curve:prune_curve",
    "compression.quantization:quantize_curve": "compression.quantization_curve:quantize_curve",
    "compression.storage:surviving": "compression.storage:nonzero_counts",
    "curves.learning_curve:envelope_draws": "curves.envelope:envelope_draws",
    "curves.learning_curve:lower_envelope": "curves.envelope:lower_envelope",
    "curves.ranking:fit_model_size": "curves.model_size:fit_model_size",
    "curves.ranking:rank_tasks": "curves.ranking:rank_by_exponent",
    "curves.two_way:fit_two_way": "scaling.fit:fit_scaling_law",
    "data.spectrogram:normalized_power": "data.readers.spectrogram:normalize_power",
    "data.speech:joined_strings": "data.sequences.spoken_digits:draw_strings",
    "data.streamed:fetched": "data.streamed:fetch_rows",
    "data.streamed:rows_of": "data.streamed:take_rows",
    "data.libsvm:split_sizes": "papers.sharma:split_sizes",
    "kernels.neighbors.order:rough_order": "kernels.neighbors.boxes:rough_order",
    "models.layers:Bottleneck": "models.layers.bottleneck:Bottleneck",
    "models.layers:Bottlenecked": "models.layers.bottleneck:Bottlenecked",
    "models.vision:LeNet": "models.vision.lenet:LeNet",
    "studies.hestness_tasks:SMOKE": "studies.ranking.scales:SMOKE",
    "studies.sharma_losses:LOSSES": "papers.sharma:LOSSES",
    "studies.sharma_losses:QUICK_LOSSES": "papers.sharma:QUICK_LOSSES",
    "studies.sharma_tables:paper_numbers": "papers.sharma:paper_rows",
    "studies.table_three:ROWS": "papers.bisla:TABLE_3",
    "studies.table_three:row_recipe": "studies.prediction.table_three:row_recipe",
    "studies.table_three:row_settings": "studies.prediction.table_three:row_settings",
    "studies.task:best_guess": "studies.ranking.task:chance_error",
    "studies.zhang_protocol:NETS": "studies.randomization.nets:NETS",
    "studies.zhang_protocol:WithDropout": "studies.randomization.nets:WithDropout",
    "studies.zhang_protocol:parameter_table": "studies.randomization.nets:parameter_table",
    "studies.zhang_tables:TABLE1": "papers.zhang:TABLE_1",
    "theory.densities:fit_pca": "theory.pca:fit_pca",
    "theory.expected_error:whitened": "theory.expected_error:whitened_moments",
    "training.engine:evaluate": "training.evaluation:evaluate",
    "training.engine:features": "training.evaluation:features",
    "training.runs:Budget": "training.program:Budget",
    "training.runs:Program": "training.program:Program",
    "training.runs:steps_of": "training.program:steps_of",
}
FIELDS = {  # names of fields and of keys of JSON files, where the two sides differ -> one of the two
    "executions": "form",
    "grids": "scores",
    "protocol": "recipe",
    "test_density": "test",
    "train_density": "train",
}
SEARCHES = {"nearest": None, "line": "sorted_line", "products": "matmul", "scan": "brute_force", "tiles": "boxes",
    "tree": "kdtree"}  # fmt: skip
MOVES = {
    f"{package}.{old}": new[1:] if new.startswith(".") else f"{package}.{new}"
    for package, pairs in _MOVES.items()
    for old, new in (pair.split(":") for pair in pairs.split())
}
LARGEST = 1 << 16  # bytes of an array up to which its values are kept beside its hash
# Keys of JSON files that differ from run to run or from place to place.
VOLATILE = re.compile(r".*seconds|.*time|date|versions?|environment|peak_memory.*|.*path|.*folder|.*files?|commit")
GROUPS: dict[str, Callable[[], Mapping[str, Callable[[], Any]]]] = {}
KEY = jax.random.key(0)


BEFORE = importlib.util.find_spec("lcjax.studies.table_three") is not None  # the tree is that of 7727763


@functools.cache
def find(place: str) -> Any:
    """Return the object at the place "module:name" of commit 7727763, wherever it is now."""
    if not BEFORE and place in ADAPTERS:
        return ADAPTERS[place]
    module, _, name = place.partition(":")
    now = place if BEFORE else RENAMES.get(place, f"{MOVES.get(module, module)}:{name}")
    where, _, what = now.partition(":")
    try:
        return getattr(importlib.import_module(f"lcjax.{where}"), what)
    except (ModuleNotFoundError, AttributeError):
        raise LookupError(f"{place} is not at {now}: enter it in MOVES, RENAMES or ADAPTERS.") from None


class Module:
    """A module of 7727763, whose attributes `find` looks up."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return find(f"{self._module}:{name}")


at = Module  # at("curves.fitting").fit_curve


def new(place: str) -> Any:
    """Return the object at a place of the new tree."""
    where, _, what = place.partition(":")
    return getattr(importlib.import_module(f"lcjax.{where}"), what)


# Calls as of 7727763, for what the new tree gives in another way: place -> function.
ADAPTERS: dict[str, Any] = {}


def adapter(place: str) -> Callable[[Any], Any]:
    """Enter an adapter."""

    def enter(function: Any) -> Any:
        ADAPTERS[place] = function
        return function

    return enter


@adapter("kernels.quick_compile:jit_by_size")
def _jit_by_size(function: Any) -> Any:
    return new("kernels.compilation:jit_by_size")()(function)


@adapter("kernels.neighbors.choice:traced_search")
def _traced_search(n: int, d: int, k: int) -> Any:
    search = new("kernels.neighbors.dispatch:choose_search")(n, d, k)
    return search, search.__name__


def _neighbors(name: str | None) -> Callable[..., Any]:
    near = importlib.import_module("lcjax.kernels.neighbors")
    singular = {"boxes": "box"}.get(name, name)
    return functools.partial(near.nearest_neighbors, search=name and getattr(near, f"{singular}_search"))


for _name, _search in SEARCHES.items():
    adapter(f"kernels.neighbors:{_name}_neighbors")(
        lambda *arguments, _search=_search, **options: _neighbors(_search)(*arguments, **options)
    )


@adapter("compression.pruning:majority_accuracy")
def _majority_accuracy(train: Any, targets: Any) -> float:
    return 1 - new("compression.pruning:chance_error")(train, targets)


@adapter("data.text:read_words")
def _read_words(path: Path, **options: Any) -> Any:
    return new("data.sequences.sources:load_sequences")(f"words:{path}", **options)


@adapter("data.text:read_characters")
def _read_characters(path: Path, **options: Any) -> Any:
    return new("data.sequences.sources:load_sequences")(f"characters:{path}", **options)


@adapter("studies.sharma_tables:paper_row")
def _sharma_row(data: str, depth: int) -> Any:
    papers = importlib.import_module("lcjax.papers.sharma")
    rows = [papers.paper_row(data, depth, loss) for loss in papers.LOSSES]
    names = ("accuracy", "pruned_accuracy", "ratio")
    return None if rows[0] is None else {name: tuple(getattr(row, name) for row in rows) for name in names}


@adapter("studies.zhang_protocol:count_parameters")
def _count_parameters(model: Any, shape: tuple[int, ...]) -> int:
    return new("models.parameters:parameter_count")(model, jax.ShapeDtypeStruct((1, *shape), np.float32))


@adapter("theory.radius:size_for_error")
def _size_of_radius_fit(fit: Any, error: float) -> Any:
    return fit.size_for_error(error).value  # no interval: low, high and never are nan


@adapter("training.engine:sweep")
def _sweep(*arguments: Any, form: str | None = None, **options: Any) -> Any:
    execution = None if form is None else new("training.concurrency:Execution").parse(form)
    return new("training.sweep:sweep")(*arguments, execution=execution, **options)


@adapter("training.forms:choose_form")
def _choose_form(params: Any, budgets: Any) -> str:
    return str(new("training.execution.heuristics:choose_execution")(params, budgets))


@adapter("training.forms:plausible_forms")
def _plausible_forms(params: Any, budgets: Any) -> tuple[str, ...]:
    return tuple(map(str, new("training.execution.heuristics:plausible_executions")(params, budgets)))


for _name in ("adam", "sgd"):
    adapter(f"training.optimization:{_name}")(getattr(optax, _name))


def guessing_error(data: Any) -> float:
    return data.guessing_error() if BEFORE else data.chance_error()


def size_for_error(fit: Any, error: float, level: float = 0.9) -> dict[str, Any]:
    """Return the size at which a fit reaches an error, its interval and the probability of never, on both sides."""
    size = fit.size_for_error(error)
    if hasattr(size, "value"):
        return {name: getattr(size, name) for name in ("value", "low", "high", "never")}
    if fit.draws is None:
        return {"value": size, **{name: jnp.full_like(size, jnp.nan) for name in ("low", "high", "never")}}
    draws = fit.size_for_error_draws(error)
    low = jnp.quantile(draws, 0.5 - level / 2, axis=-1, method="lower")
    high = jnp.quantile(draws, 0.5 + level / 2, axis=-1, method="higher")
    return {"value": size, "low": low, "high": high, "never": jnp.mean(jnp.isinf(draws), -1, dtype=draws.dtype)}


def group(function: Callable[[], Mapping[str, Callable[[], Any]]]) -> Callable[[], Mapping[str, Callable[[], Any]]]:
    """Enter a table of cases."""
    GROUPS[function.__name__.removeprefix("of_")] = function
    return function


# ------------------------------------------------------------------------------------------------ exact numbers


def entries(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and exact values of all that a result holds; functions and modules only by their kind."""
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    if value is None:
        yield path, None
    elif isinstance(value, str | Path):
        yield path, text_of(str(value))
    elif type(value).__name__ == "Execution":
        yield path, str(value)
    elif callable(value) and type(value).__module__.endswith("complexity.interpolation"):  # was a function
        yield path, "callable"
    elif isinstance(value, bool | int | float | complex | np.generic | np.ndarray | jax.Array):
        array = np.asarray(value)
        if array.dtype.hasobject or array.dtype.kind in "UTS":
            yield path, [str(element) for element in array.ravel()]
            return
        content = np.ascontiguousarray(array).tobytes()
        kept = base64.b64encode(zlib.compress(content)).decode() if len(content) <= LARGEST else None
        yield path, [array.dtype.name, list(array.shape), hashlib.sha256(content).hexdigest()[:24], kept]
    elif isinstance(value, Mapping) and {"mode", "width", "threads", "plain"} <= {*value}:
        settings = (value[name] for name in ("mode", "width", "threads", "plain"))
        yield path, str(new("training.concurrency:Execution")(*settings))
    elif isinstance(value, Mapping):
        for key, part in as_before(value).items():
            if not VOLATILE.fullmatch(str(key)):
                yield from entries(part, f"{path}/{FIELDS.get(str(key), key)}")
    elif isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        if len(value) > 3 and all(isinstance(part, float | int) or part is None for part in value):
            yield from entries(np.array([np.nan if part is None else part for part in value], float), path)
            return
        for i, part in enumerate(value):
            yield from entries(part, f"{path}/{i}")
    elif hasattr(value, "_fields"):
        yield from entries(value._asdict(), path)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.name not in ("parent", "runs")]
        yield from entries({name: getattr(value, name) for name in fields}, path)
    else:
        yield path, "callable" if callable(value) else "object"


def as_before(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a JSON file in the layout of 7727763, if it is of the new one."""
    if "status" in fields and "never" in fields:
        numbers = new("curves.answer.size_for_error:SizeForError").fields_from_json(fields)
        return {name: number if np.isfinite(number) else None if np.isnan(number) else str(number)
            for name, number in numbers.items()}  # fmt: skip
    fields = dict(fields)
    if "chance_error" in fields:
        fields["majority"] = 1 - fields.pop("chance_error")
    methods = fields.pop("methods", None)
    if methods is not None:
        laws = {name: method for name, method in methods.items() if name != "power_law"}
        sizes = {name: method["size_for_error"] for name, method in methods.items() if method["size_for_error"]}
        fields |= {
            "radius": {name: method["parameters"]["radius"] for name, method in laws.items()},
            "converged": {name: method["converged"] for name, method in laws.items()},
            "exponent": methods["power_law"]["parameters"]["exponent"],
            "predicted": {name: method["curve"] for name, method in methods.items()},
            "interval": {name: method["interval"] for name, method in methods.items()},
            "size_for_target": {
                name: {limit: number for limit, number in as_before(size).items() if limit in ("value", "low", "high")}
                for name, size in sizes.items()
            },
        }
    return fields


def text_of(text: str) -> Any:
    """Return a name without its place, in the words of 7727763, or the numbers in a sentence."""
    if " " in text:
        numbers = re.findall(r"(?<!\w)-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?", text)
        return f"numbers {' '.join(numbers).replace(',', '')}"
    if re.fullmatch(r"(vmap|map|step):\d+(@\d+)?(/plain)?", text):
        return text
    text = re.sub(r"^(lcjax[\w.]*|optax[\w.]*):|.*/", "", text)
    return NAMES.get(text.removesuffix("_search"), text)


NAMES = {"box": "tiles", "sharded_neighbors": "sharded", **{now: before for before, now in SEARCHES.items() if now}}


class Exact(dict[str, Any]):
    """Entries of a case that ran in another process."""


def tree(variables: Any) -> dict[str, Any]:
    """Paths, shapes, types and hashes of a model's variables, without the values."""
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    told = {jax.tree_util.keystr(path): map(str, next(entries(leaf))[1][:3]) for path, leaf in leaves}
    return {path: "-".join(parts).replace(" ", "") for path, parts in told.items()}


def compare(first: Mapping[str, Any], second: Mapping[str, Any], rtol: float) -> int:
    """Print the cases that differ or are missing on one side, and count them."""
    count = arrays = same = 0
    for name in sorted({*first, *second}):
        if name not in first or name not in second:
            count += 1
            print(f"{name}: only in the {'second' if name in second else 'first'}")
            continue
        a, b = first[name], second[name]
        pairs = [(a[path], b[path]) for path in {*a} & {*b} if isinstance(a[path], list) and len(a[path]) == 4]
        arrays, same = arrays + len(pairs), same + sum(x == y for x, y in pairs)
        off = {p: _difference(a.get(p, "absent"), b.get(p, "absent")) for p in sorted({*a, *b}) if a.get(p) != b.get(p)}
        off = {path: by for path, by in off.items() if by is None or by > rtol}
        if off:
            count += 1
            worst = max(off, key=lambda path: np.inf if off[path] is None else off[path])
            by = "not comparable" if off[worst] is None else f"largest relative difference {off[worst]:.2e}"
            print(f"{name}: {len(off)} of {len(a)} differ, {by} at {worst or 'the value'}")
            if off[worst] is None:
                print(f"    {str(a.get(worst, 'absent'))[:150]}\n    {str(b.get(worst, 'absent'))[:150]}")
    print(f"{count} of {len({*first, *second})} cases differ; {same} of {arrays} arrays are identical bit for bit")
    return count


def _difference(a: Any, b: Any) -> float | None:
    """Largest relative difference of two kept arrays; `None` where they cannot be compared."""
    if not all(isinstance(one, list) and len(one) == 4 and one[3] for one in (a, b)) or a[:2] != b[:2]:
        return None
    try:
        x, y = (np.frombuffer(zlib.decompress(base64.b64decode(one[3])), one[0]).astype(complex) for one in (a, b))
    except TypeError:  # a type that NumPy does not know
        return None
    x, y = x[~((x == y) | (np.isnan(x) & np.isnan(y)))], y[~((x == y) | (np.isnan(x) & np.isnan(y)))]
    with np.errstate(all="ignore"):
        by = np.abs(x - y) / np.maximum(np.abs(x), np.abs(y))
    return float(np.max(np.where(np.isnan(by), np.inf, by), initial=0.0))


# ------------------------------------------------------------------------------------------------ cases


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


POINTS = rng().normal(size=(60, 3)).astype(np.float32)
SIZE = np.array([20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0])
REPEATS = 0.05 + 1.5 * SIZE**-0.5 * np.exp(0.03 * rng(1).normal(size=(2, 4, 7)))
LABELS = (np.arange(60) % 3).astype(np.int32)
IMAGES = rng(2).normal(size=(8, 12, 12, 1)).astype(np.float32)
FORM_NAMES = (
    "broken_power_law", "exponential", "inverse_logarithm", "janoschek", "last_value", "linear", "logarithm", "m3",
    "m4", "mmf", "power_law", "power_law_offset", "shifted_power_law", "twice_broken_power_law", "vapor_pressure",
    "weibull",
)  # fmt: skip
TOKENS = rng(3).integers(1, 6, (8, 7)).astype(np.int32)


@group
def of_kernels() -> Mapping[str, Callable[[], Any]]:
    integral, fit, sobol, sort = (at(f"kernels.{m}") for m in ("integration", "least_squares", "point_sets", "sorting"))
    again, near, x = at("kernels.sampling.resampling"), at("kernels.neighbors"), np.arange(6.0, dtype=np.float32)
    square, box = lambda p: jnp.sum(p**2, axis=1), np.full(2, np.inf, np.float32)
    line, pairs = lambda u, data: u[0] + u[1] * data[0] ** 2 - data[1], (x, 1 + 3 * x**2 + np.sin(x))
    order, block = at("kernels.neighbors.order"), at("complexity.block_cholesky")
    kernel = at("complexity.interpolation").gaussian_kernel(1.0)
    cases = {
        "expectation": lambda: [integral.expectation(KEY, square, d=d, n=64, randomizations=4) for d in (1, 3)],
        "expectation/rtol": lambda: integral.expectation(KEY, square, d=2, n=64, randomizations=4, rtol=1e-2),
        "replicate_means": lambda: [
            integral.replicate_means(jax.random.split(KEY, 2), lambda p: p[:, 0], d=2, domain=domain, n=64)
            for domain in (integral.cube, integral.gaussian)
        ],
        "capped_mean": lambda: [integral.capped_mean(x + 1, x[1:] / 4, power=p) for p in (1, 2)],
        "wide_gaussian": lambda: integral.wide_gaussian(rng().random((5, 4)).astype(np.float32), 3),
        "solve_positive_definite": lambda: fit.solve_positive_definite(POINTS.T @ POINTS, POINTS[0]),
        "least_squares": lambda: [
            fit.least_squares(line, np.zeros(2, np.float32), pairs, -box, box, steps=20, newton=n) for n in (False,
                True)
        ],
        "sobol": lambda: [sobol.sobol(KEY, 16, 5), sobol.sobol_gaussian(KEY, 16, 3), sobol.sobol_block(KEY, 8, 8, 2)],
        "chi_quantile": lambda: sobol.chi_quantile(x / 7 + 0.1, 3),
        "sorting": lambda: [sort.ascending(POINTS.T), sort.argsort(sort.order_words(jnp.asarray(POINTS.T)))],
        "resampling": lambda: [
            again.resample_rows(KEY, REPEATS[0].astype(np.float32), draws=3),
            again.student_noise(KEY, np.float32(3), draws=2, size=5, most=4),
        ],
        "jit_by_size": lambda: at("kernels.quick_compile").jit_by_size(lambda a: 2 * a)(x),
        "rough_order": lambda: order.rough_order(POINTS[:8].T, POINTS[:8].T > -1),
        "traced_search": lambda: [at("kernels.neighbors.choice").traced_search(n, d, 3)[1] for n in (9,
            9999) for d in (1, 8)],
        "block_cholesky": lambda: block.solve(block.factorize(kernel, POINTS, ridge=0.1, block=16), POINTS),
        "conjugate_gradients": lambda: tuple(at("complexity.conjugate_gradients").conjugate_gradients(
            kernel, POINTS, POINTS, ridge=0.1, rows=16, rank=5)),
        "sharded_neighbors": lambda: near.sharded_neighbors(
            POINTS, POINTS, 2, mesh=jax.make_mesh((1,), ("p",)), point_axis="p", exclude_self=True),
    }  # fmt: skip
    for name in ("nearest", "line", "products", "scan", "tiles", "tree"):
        points = POINTS[:, :1] if name == "line" else POINTS
        function = f"{name}_neighbors"
        cases[function] = lambda f=function, p=points: [
            getattr(near, f)(p if e else p[:9], p, 3, exclude_self=e, squared=e) for e in (False, True)]  # fmt: skip
    return cases


@group
def of_theory() -> Mapping[str, Callable[[], Any]]:
    density, closed, error = (at(f"theory.{m}") for m in ("densities", "closed_forms", "expected_error"))
    law, dimension, finite, gaps = (at(f"theory.{m}") for m in ("neighbor_laws", "dimension", "finite_size", "gaps"))
    curve, radius, contour = at("curves.learning_curve"), at("theory.radius"), at("theory.contour")
    samples, ratio = at("theory.samples"), np.array([0.5, 2.0, 30.0], np.float32)
    laws, size, order = (law.hypercube, law.poisson), SIZE.astype(np.float32), np.sort(POINTS[:, 0])
    train, test = density.fit_gaussian(POINTS), density.fit_gaussian(1.2 * POINTS + 0.1)
    measured = curve.LearningCurve(size, 0.3 * size**-0.3)
    cube = contour.hypercube_transform
    distance = np.sort(np.abs(POINTS), axis=1)
    return {
        "densities": lambda: [
            train, density.fit_pca(POINTS, 2), density.fit_pca(POINTS, 2).project(POINTS), density.is_full_rank(train),
            train.log_density(POINTS[:3]), train.whiten(POINTS[:3]), train.unwhiten(POINTS[:3]), train.sample(KEY, 3)],
        "closed_forms": lambda: [
            [closed.equal_gaussians_error(ratio, d=d), closed.scaled_gaussian_error(ratio, 1.5, d=d, power=2)]
            for d in (1, 3)],
        "contour": lambda: [
            t(np.array([0.5 + 1j, 2.0], np.complex64)) for t in (cube, contour.poisson_transform)],
        "expected_value": lambda: contour.expected_value(
            np.log(size), np.eye(3, dtype=np.float32), np.ones(3, np.float32), exponent=1 / 3, transform=cube),
        "expected_error": lambda: [error.expected_error(size, train, test, 1.0, f, power=p) for f in laws for p in (1,
            2)],
        "error_of_ratio": lambda: [
            error.error_of_ratio(np.log(ratio), *error.whitened(train, test), f, exponent=1 / 3,
                order=1) for f in laws],
        "sizes": lambda: [error.log_size_scale(train, 1.0, laws[0]), error.saturation_size(train, 1.0)],
        "binomial": lambda: [
            finite.binomial(size, distance[:3, 0], 1.0, d=3), finite.ball_mass(ratio, distance[:3, 0], d=3),
            finite.mean_binomial_error(size, 1.2, 0.1, 1.0, d=3)],
        "laws": lambda: [[f(np.log(ratio), d=d, power=p) for f in laws for d in (1, 4) for p in (1, 2)],
            [g(3) for g in (law.mean_uniform_norm, law.log_ball_volume, law.saturation_log_intensity)]],
        "gaps": lambda: [gaps.gap_statistics(order, k=2), gaps.gap_statistics(order, k=2).corrected,
            gaps.gap_statistics(order, k=2).ratio, gaps.expected_gap(size, size / 1000)],
        "polar_mean": lambda: at("theory.polar").polar_mean(
            lambda r: jnp.minimum(r, 1.0), ratio, np.eye(3, dtype=np.float32), np.ones(3, np.float32)),
        "radius": lambda: [[f := radius.fit_radius(measured, train, test, each), f.predict(size),
            radius.size_for_error(f, 0.01)] for each in laws],
        "samples": lambda: [
            samples.expected_error_from_density(size, distance[:, 0], 1.0, d=3),
            samples.expected_error_qmc(KEY, size, train.log_density, train.unwhiten, 1.0, d=3, points=64,
                randomizations=4)],
        "simulate_error": lambda: [at("theory.simulation").simulate_error(
            KEY, np.array([20, 50]), train, test, 1.0, 30, 3, average=a) for a in (False, True)],
        "subsampling": lambda: [
            at("theory.subsampling").error_from_distances(distance, np.array([1, 5, 20]), 1.0, points=60,
                tolerance=1.0),
            at("theory.subsampling").subset_tail(np.array([1, 5, 20]), 60, 3)],
        "dimension": lambda: [
            dimension.two_nn(POINTS), dimension.levina_bickel(POINTS, k=5), dimension.spectral_dimension(POINTS),
            dimension.inverse_local_dimension(POINTS, k=5),
            dimension.nearest_neighbor_accuracy(POINTS[:40], LABELS[:40], POINTS[40:], LABELS[40:]),
            dimension.effective_dimension(np.arange(1, 5), np.array([0.5, 0.8, 0.9, 0.91]), 0.01, 0.91)],
    }  # fmt: skip


@group
def of_curves() -> Mapping[str, Callable[[], Any]]:
    forms, curves, mistakes, seen = (at(f"curves.{m}") for m in ("forms", "learning_curve", "mistakes", "back_test"))
    fit_curve, losses, ahead = at("curves.fitting").fit_curve, at("curves.losses"), np.array([2e3, 1e4])
    ranking, wrong = at("curves.ranking"), rng(5).random((3, 4, 30)) < np.array([0.5, 0.4, 0.3, 0.2])[:, None]
    curve, prior = curves.curve_from_replicates(SIZE, REPEATS), at("curves.exponent_prior").ExponentPrior(-0.5)
    n, d = (a.ravel() for a in np.meshgrid(10.0 ** np.arange(3, 7), 10.0 ** np.arange(3, 7)))
    two_way = lambda **o: at("curves.two_way").fit_two_way(n, d, 0.5 + 20 * n**-0.4 + 30 * d**-0.3, **o)  # noqa: E731
    short = (forms.last_value, forms.power_law, forms.power_law_offset)

    def read(fit: Any) -> Any:
        return [
            fit,
            fit.parameters,
            fit.parameter_draws,
            fit.predict(ahead),
            fit.interval(ahead),
            size_for_error(fit, 0.08),
        ]

    def forecast(**options: Any) -> Any:
        told = at("curves.forecast.mixture").mixture_forecast(KEY, curve, draws=10, **options)
        return [told, told.predict(ahead), told.interval(ahead), told.size_for_error(0.08), told.next_size(0.08)]

    def exact(function: Callable[[], Any]) -> Any:
        with jax.enable_x64(True):
            return function()

    cases = {
        "curves": lambda: [curve, curves.lower_envelope(SIZE, REPEATS, REPEATS + 0.01),
            curves.envelope_draws(KEY, REPEATS, REPEATS + 0.01, draws=3)],
        "losses": lambda: [f(np.float32([0.1, 0.9]), np.float32([0.2, 0.5]))
            for f in (losses.relative, losses.absolute, losses.huber)],
        "forecast": lambda: forecast(forms=short, guess=0.9),
        "forecast/prior": lambda: forecast(forms=short[1:], prior=prior),
        "forecast/x64": lambda: exact(lambda: forecast(forms=short)),
        "fit_two_way": lambda: [f := two_way(), f.parameters, f.predict(n, d)],
        "fit_two_way/draws": lambda: [f := two_way(key=KEY, draws=4), f.parameter_draws],
        "mistakes": lambda: [mistakes.mean_and_standard_error(wrong[:, 0]), mistakes.bootstrap_error(KEY, wrong,
            draws=4),
            mistakes.curve_from_mistakes(SIZE[:4], wrong)],
        "rank_tasks": lambda: ranking.rank_tasks(
            {str(k): fit_curve(curves.LearningCurve(SIZE, REPEATS[k, 0]), forms.power_law, key=KEY,
                draws=20) for k in (0, 1)}),
        "fit_model_size": lambda: [law := ranking.fit_model_size(SIZE, 3 * SIZE**0.7), law.predict(ahead)],
        "regions": lambda: [r := at("curves.regions").find_regions(fit_curve(
            curves.LearningCurve(SIZE**2, forms.mmf(SIZE**2, 0.02, 0.9, -0.8, 300.0)), forms.mmf, key=KEY, draws=8)),
            r.region(ahead)],
        "observe": lambda: seen.observe(SIZE, REPEATS[:, 0]),
    }  # fmt: skip
    for form in {*forms.FORMS, *(getattr(forms, name) for name in FORM_NAMES)}:
        name = repr(form).rpartition(".")[2]
        cases[f"form/{name}"] = lambda f=form: [
            f(SIZE, *(p := np.linspace(0.1, 0.6, len(f.parameters)))),
            f.inverse(0.4, *p),
        ]
        cases[f"fit_curve/{name}"] = lambda f=form: fit_curve(curve, f)
    few = (forms.power_law_offset, forms.mmf)
    cases["fit_curve/draws"] = lambda: [read(fit_curve(curve, form, key=KEY, draws=4)) for form in few]
    cases["fit_curve/x64"] = lambda: exact(lambda: [fit_curve(curve, form) for form in few])
    options = {"loss": losses.huber, "weight": np.ones(7), "guess": 0.9, "prior": prior}
    for name, value in options.items():
        cases[f"fit_curve/{name}"] = lambda o={name: value}: fit_curve(curve, forms.power_law_offset, **o)
    return cases


@group
def of_models() -> Mapping[str, Callable[[], Any]]:
    layer, pool, cell, attention = (at(f"models.{m}") for m in ("layers", "pooling", "recurrent", "attention"))
    loss, sequence, vision, language = (
        at(f"models.{m}") for m in ("objectives", "sequence_objectives", "vision", "language")
    )
    inception, vgg, speech, seen = (at(f"models.{m}") for m in ("inception", "vgg", "speech", "preactivations"))
    translation, resnet = at("models.translation").Translation, at("models.resnet").resnet
    outputs, image, steps = rng(4).normal(size=(60, 3)).astype(np.float32), IMAGES, POINTS.reshape(4, 5, 9)
    colour = {side: np.linspace(-1, 1, 3 * side**2, dtype=np.float32).reshape(1, side, side, 3) for side in (28, 32)}
    pair = {"source": TOKENS, "target": TOKENS[:, :5]}
    heard = {"frames": rng(6).normal(size=(2, 16, 6)).astype(np.float32), "length": np.array([16, 9], np.int32)}
    spoken, labels = {**heard, "target": TOKENS[:2, :4]}, np.array([[1, 2, -1], [2, -1, -1]])
    logits, small = (
        {"logits": outputs[:20].reshape(2, 10, 3), "length": np.array([10, 7])},
        {"filters": (2, 3), "kernels": ((5, 3), (3, 5))},
    )
    nets = {  # small ones are applied too
        "MLP": (vision.MLP((5, 4), 3), POINTS), "LeNet": (vision.LeNet(padding="SAME"), image),
        "QuickNet": (at("models.quicknet").QuickNet(batch_norm=True), colour[32]),
        "DenseNet": (at("models.densenet").DenseNet(10, 3), colour[32]),
        "DrivingNet": (at("models.driving").DrivingNet(), np.ones((1, 22, 66, 3), np.float32)),
        "resnet": (resnet(10, width=1 / 16), colour[32]), "resnet/50": (resnet(50, width=1 / 16), colour[32]),
        "resnet/20": (resnet(20), colour[32]),
        "Bottlenecked": (layer.Bottlenecked(vision.MLP((6,), 3), 4), POINTS, {"bottleneck_width": 2}),
        "LSTM": (cell.LSTM(4, second_bias=True), steps), "GRU": (cell.GRU(4), steps), "RHN": (cell.RHN(4, 2), steps),
        "Bidirectional": (cell.Bidirectional(cell.LSTM, 3), steps),
        "WordLanguageModel": (language.WordLanguageModel(7, 4), TOKENS),
        "LanguageModel/tied": (language.LanguageModel(7, 4, layers=1, depth=2, tied=True), TOKENS),
        "CharacterLanguageModel": (language.CharacterLanguageModel(7, 4, depth=2), TOKENS),
        "Translation": (translation(7, 7, 4), pair), "Translation/both": (translation(7, 7, 4, bidirectional=True),
            pair),
        "DeepSpeech": (speech.DeepSpeech(4, 3, layers=2, **small), heard),
        "AttentionSpeech": (speech.AttentionSpeech(7, 6, 4, layers=2), spoken),
        "WithDropout": (at("studies.zhang_protocol").WithDropout(vision.MLP((3,), 2), 0.5), POINTS),
    }  # fmt: skip
    large = {
        "SmallAlexNet": (at("models.alexnet").SmallAlexNet(), colour[28]),
        "AlexNet": (at("models.alexnet").AlexNet(), np.ones((1, 224, 224, 3), np.float32)),
        "SmallInception": (inception.SmallInception(), colour[28]),
        "InceptionV3": (inception.InceptionV3(8), np.ones((1, 299, 299, 3), np.float32)),
        "VGG": (vgg.VGG(), colour[32]), "VGG11": (vgg.VGG(vgg.VGG11, (64,), 10, False), colour[32]),
        "VGG19": (vgg.VGG(vgg.VGG19, (64,), 10, False), colour[32]), "resnet/152": (resnet(152), colour[32]),
        "resnet/stem": (resnet(18, imagenet_stem=True), np.ones((1, 64, 64, 3), np.float32)),
        "DenseNet/40": (at("models.densenet").DenseNet(), colour[32]),
    }  # fmt: skip

    def shapes(model: Any, inputs: Any) -> Any:
        leaves = jax.tree_util.tree_leaves_with_path(jax.eval_shape(model.init, KEY, inputs))
        values = tree(jax.jit(model.init)(KEY, inputs))
        return {jax.tree_util.keystr(p): f"{leaf.dtype}{leaf.shape}".replace(" ", "") for p, leaf in leaves}, values

    def applied(model: Any, inputs: Any, options: Mapping[str, Any] = {}) -> Any:
        result, variables = jax.jit(lambda key, x: model.init_with_output(key, x, **options))(KEY, inputs)
        return {"tree": tree(variables), "outputs": result}

    weights = {"query": np.ones((2, 3)), "location": np.ones((3, 3)), "score": np.ones(3)}
    cases = {
        "convolution": lambda: [layer.banded_convolution(image, rng(7).normal(size=(3, 3, 1, 2)).astype(np.float32),
            strides=s,
            padding=p) for s in ((1, 1), (2, 2)) for p in ("SAME", "VALID")],
        "pooling": lambda: [pool.max_pool(image), pool.mean_pool(image, 3, 2, "SAME"), pool.local_response(image)],
        "attention": lambda: [attention.masked_softmax(outputs, outputs > -1), attention.attend(outputs[:2],
            POINTS[:6].reshape(2, 3, 3)),
            attention.hybrid_scores(weights, np.ones((2, 2)), POINTS[:8].reshape(2, 4, 3), np.eye(4)[:2])],
        "objectives": lambda: [f(outputs, LABELS) for f in (loss.cross_entropy, loss.multiclass_hinge,
            loss.largest_hinge)],
        "objectives/real": lambda: [loss.mean_squared_error(outputs[:, :1], POINTS[:, 0]), loss.vc_penalty(outputs)],
        "ctc": lambda: [f(logits, labels) for f in (sequence.ctc, sequence.character_mistakes)],
        "tokens": lambda: [f(logits["logits"], np.resize(LABELS, (2, 10)))
            for f in (sequence.token_cross_entropy, sequence.token_mistakes)],
        "edit_distance": lambda: [sequence.edit_distance(TOKENS[:4], TOKENS[4:]), sequence.tokens_of(labels),
            sequence.ctc_feasible(np.array([3, 1]), labels)],
        "recurrent": lambda: [cell.scaled_units(512, 0.0625), cell.uniform(0.1)(KEY, (4, 4))],
        "Conv": lambda: applied(layer.Conv(2, (3, 3), banded=False), image),
        "Bottleneck": lambda: layer.Bottleneck(3).init_with_output(KEY, np.abs(POINTS), 2),
        "Head": lambda: applied(language.Head(5), POINTS),
        "preactivations": lambda: seen.apply_with_preactivations(
            nets["MLP"][0], nets["MLP"][0].init(KEY, POINTS), POINTS),
        "preactivations/conv": lambda: seen.apply_with_preactivations(nets["LeNet"][0], nets["LeNet"][0].init(KEY,
            image), image),
    }  # fmt: skip
    cases |= {f"net/{name}": lambda m=made: applied(*m) for name, made in nets.items()}
    return cases | {f"shapes/{name}": lambda m=made: shapes(*m) for name, made in large.items()}


def clusters() -> Any:
    """Make a set of three classes in five dimensions."""
    data, part = at("data.examples"), {}
    for name, n in (("train", 120), ("validation", 48), ("test", 48)):
        g, targets = rng(n + len(name)), (np.arange(n) % 3).astype(np.int32)
        inputs = np.clip(40 * targets[:, None] + 50 + 40 * g.normal(size=(n, 5)), 0, 255).astype(np.uint8)
        part[name] = data.Examples(inputs, targets)
    return data.Data(**part, offset=128.0, scale=1 / 64, classes=3)


def images() -> Any:
    """Pictures of two classes."""
    pixels = rng(8).integers(0, 256, (200, 12, 12, 3)).astype(np.uint8)
    targets = (pixels[:, :4].mean(axis=(1, 2, 3)) > pixels[:, 4:].mean(axis=(1, 2, 3))).astype(np.int32)
    return at("data.arrays").data_from_arrays(pixels, targets, name="halves")


def sweeps(*, devices: bool) -> Mapping[str, Callable[[], Any]]:
    """Sweeps in every execution; on two devices a few."""
    train, engine, augment = at("training"), at("training.engine"), at("training.augmentation")
    optimizers, vision, loss = at("training.optimization"), at("models.vision"), at("models.objectives").cross_entropy
    runs, layer, sequence = at("training.runs"), at("models.layers"), at("models.sequence_objectives")
    data, pictures, shards = clusters(), images(), at("data.shards")
    prepare = at("studies.zhang_protocol").prepare
    base = {
        "size": np.array([9, 30, 120, 30]),
        "seed": np.array([0, 0, 0, 7]),
        "learning_rate": np.array([0.1, 0.1, 0.05, 0.1]),
    }

    def program(model: Any = None, **other: Any) -> Any:
        return runs.Program(**{
            "model": model or vision.MLP((6,), 3), "objective": loss, "optimizer": optimizers.momentum, "batch": 8,
            "schedule": optimizers.cosine, "budget": runs.Budget(steps=12, records=2), "sampling": train.epochs,
                **other})  # fmt: skip

    def sweep(how: str, *programs: Any, of: Any = data, columns: Mapping[str, Any] = {}, **options: Any) -> Any:
        extra = {name: options.pop(name) for name in ("shards",) if name in options}
        table = runs.Runs(programs or (program(),), np.arange(4) % max(len(programs), 1), {**base, **columns}, **extra)
        return engine.sweep(KEY, of, table, keep=np.ones(4, bool), form=how, **options)

    convolutional = program(vision.LeNet((2, 3), 2, "SAME"), augment=augment.Composed((augment.Crop(2), augment.flip)))
    if devices:
        return {h: lambda h=h: [jax.device_count(), sweep(h)] for h in ("vmap:2", "map:1", "step:1")} | {
            "LeNet": lambda: sweep("map:1", convolutional, of=pictures)}  # fmt: skip

    def streamed(split: Any, name: str) -> Any:
        made = at("data.streamed").Streamed(
            lambda i: split.inputs[i], np.arange(len(split.inputs)), (12, 12, 3), np.dtype("uint8"), name
        )
        return dataclasses.replace(split, inputs=made)

    def twice() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return [sweep("vmap:2", folder=folder), sweep("vmap:2", folder=folder)]

    def looked_at() -> Any:
        narrow = program(layer.Bottlenecked(vision.MLP((6,), 3), 4), model_columns=("bottleneck_width",))
        result = sweep("vmap:2", narrow, columns={"bottleneck_width": np.array([1, 2, 3, 4])})
        again = sweep("vmap:2", narrow, columns={"bottleneck_width": np.full(4, 3)}, initial=result.params)
        return [again, engine.evaluate(result, data, data.test), result.shard(1),
                *(engine.features(result, 2, data, data.test.inputs, method=m) for m in ("features",
                    "code"))]  # fmt: skip

    stream = dataclasses.replace(
        pictures, **{n: streamed(getattr(pictures, n), n) for n in ("train", "validation", "test")}
    )
    text = at("data.examples").Examples(
        rng(9).integers(0, 5, (24, 6)).astype(np.int32), rng(10).integers(0, 5, (24, 6)).astype(np.int32)
    )
    chain = at("data.examples").Data(text, text, text, classes=5)
    scoring = at("training.scoring").Scoring(sequence.tokens_of, sequence.token_mistakes)
    words = program(at("models.language").WordLanguageModel(5, 4), objective=sequence.token_cross_entropy,
        sampling=train.consecutive, scoring=scoring, batch=3, optimizer=optimizers.adam)  # fmt: skip
    few = {"size": np.array([9, 12, 24, 24])}
    return {
        **{f"{h}": lambda h=h: sweep(h) for h in ("vmap:2", "vmap:4@2", "map:2", "step:2", "vmap:2/plain")},
        **{f"LeNet/{h}": lambda h=h: sweep(h, convolutional, of=pictures) for h in ("vmap:2", "map:2/plain",
            "step:2/plain")},
        "streamed": lambda: sweep("step:2/plain", convolutional, of=stream),
        "penalties": lambda: sweep("vmap:2", columns={"l2": np.full(4, 0.01), "l1/head": np.full(4, 1e-3),
            "vc": np.full(4, 1e-4)}),
        "optimizers": lambda: sweep("vmap:2", *(program(optimizer=o, schedule=s, sampling=p) for o, s, p in (
            (optimizers.sgd, optimizers.constant, train.with_replacement),
            (optimizers.nesterov, optimizers.StepDecay(0.5, 3), train.epochs),
            (optimizers.adam, optimizers.InverseDecay(4), train.with_replacement)))),
        "stopping": lambda: sweep("vmap:2", program(budget=runs.Budget(steps=60, records=6, stop_when_fit=True)),
            program(budget=runs.Budget(steps=30, records=6, patience=1))),
        "bfloat16": lambda: sweep("vmap:2", program(dtype="bfloat16")),
        "independent": lambda: sweep("vmap:2", shards=shards.independent_shards),
        "mask": lambda: sweep("vmap:2", mask=[jax.tree.map(
            np.zeros_like, vision.MLP((6,), 3).init(KEY, np.ones((1, 5)))["params"])] * 4),
        "corrupt": lambda: sweep("vmap:2", program(vision.MLP((6,), 2),
            corrupt=at("studies.randomize_cases").Randomization(2)), of=prepare(pictures, crop=12),
            columns={"corruption": np.linspace(0, 1, 4), "pixels": np.arange(4)}),
        "words": lambda: sweep("vmap:2", words, of=chain, columns=few),
        "folder": twice,
        "bottleneck": looked_at,
        "augmentation": lambda: [f(KEY, jnp.asarray(pictures.train.inputs[:3] / np.float32(255))) for f in (
            augment.flip, augment.Crop(), augment.Brightness(), augment.Contrast(), augment.Saturation(),
                augment.Lighting())],
        "steps_of": lambda: [runs.steps_of(program(budget=runs.Budget(steps=3, epochs=2)), n) for n in (9, 100)],
        "sampling": lambda: [getattr(train, name)(KEY, jnp.int32(5), jnp.int32(20), batch=8)
            for name in ("epochs", "with_replacement", "consecutive")],
        "choose_form": lambda: [getattr(at("training.forms"), f)({"kernel": np.ones(s, np.float32)}, [100] * 5)
            for f in ("choose_form", "plausible_forms") for s in ((50, 50), (3, 3, 8, 8), (5, 5, 64, 64))],
    }  # fmt: skip


@group
def of_training() -> Mapping[str, Callable[[], Any]]:
    return sweeps(devices=False)


@group
def of_devices() -> Mapping[str, Callable[[], Any]]:
    if "device_count=2" in os.environ.get("XLA_FLAGS", ""):
        return sweeps(devices=True)
    with tempfile.NamedTemporaryFile() as file:
        command = [sys.executable, __file__, file.name, "--group", "devices"]
        flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
        environment = {
            **os.environ,
            "XLA_FLAGS": flags,
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        subprocess.run(command, env=environment, check=True)
        found = json.loads(Path(file.name).read_text())
    return {name.partition("/")[2]: lambda r=result: Exact(r) for name, result in found.items()}


@group
def of_data() -> Mapping[str, Callable[[], Any]]:
    arrays, subsets, shards, vocabulary = (at(f"data.{m}") for m in ("arrays", "subsets", "shards", "vocabulary"))
    sequences, speech, sound = at("data.sequences"), at("data.speech"), at("data.spectrogram")
    lines = [f"the {a} cat saw {b} dogs" for a in ("old", "black", "small") for b in ("two", "three")] * 4
    splits = {"train": lines, "validation": lines[:3], "test": lines[3:6]}
    pairs = at("data.parallel_text").Pairs(lines, [line.upper() for line in lines])
    audio = [rng(i).integers(-3000, 3000, 900 + 100 * i).astype(np.int16) for i in range(4)]
    utterances = [speech.Utterance(one, ["one", "two"][: 1 + i % 2]) for i, one in enumerate(audio)]
    digits = at("data.sources").load_data("digits")

    def written(name: str, text: str | bytes, read: Callable[[Path], Any]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
            return read(path)

    def saved(**parts: np.ndarray) -> bytes:
        np.savez(buffer := io.BytesIO(), **parts)
        return buffer.getvalue()

    load, text = at("data.sources").load_data, "\n".join(lines * 5) + "\n"
    libsvm = "".join(f"{i % 2} 1:{i / 7} 3:{i % 5}\n" for i in range(30))
    npz = saved(x_train=POINTS, y_train=LABELS, x_test=POINTS[:20], y_test=LABELS[:20])
    csv = "curve,size,error,test_count\n" + "".join(f"a,{n:g},{0.1 + n**-0.5!r},500\n" for n in SIZE.tolist())
    return {
        "digits": lambda: [digits, digits.fingerprint(), guessing_error(digits), digits.without_test()],
        "images": lambda: [images(), images().fingerprint()],
        "clusters": lambda: [arrays.limit_training(clusters(), 30), clusters().fingerprint()],
        "subsets": lambda: [
            subsets.random_order(KEY, 20), subsets.rotated_order(KEY, 20), subsets.stratified_order(KEY, LABELS),
            subsets.stratified_split(KEY, LABELS, 0.3), subsets.shard_sizes(60, (0.1, 0.5, 1), classes=3),
            subsets.contiguous_blocks(KEY, 60, (0.6, 0.4), periods=2, gap=1)],
        "shards": lambda: [shards.nested_shards(KEY, 5), shards.independent_shards(KEY, 5),
            shards.independent_orders(KEY, 20, [5, 10])],
        "libsvm": lambda: written("set", libsvm, lambda p: [at("data.libsvm").read_libsvm(p), load(f"libsvm:{p}")]),
        "npz": lambda: written("set.npz", npz, lambda p: load(f"npz:{p}")),
        "curves": lambda: written("curves.csv", csv, lambda p: at("data.curves_csv").read_curves(p)),
        "words": lambda: written("a.txt", text, lambda p: at("data.text").read_words(p, size=9, unroll=7)),
        "characters": lambda: written("a.txt", text, lambda p: at("data.text").read_characters(p, longest=20)),
        "words_task": lambda: at("data.text").words_task(splits, size=None, unroll=5),
        "characters_task": lambda: at("data.text").characters_task(splits, longest=12),
        "parallel_task": lambda: at("data.parallel_text").parallel_task({"train": pairs, "validation": pairs}, size=60),
        "speech_task": lambda: [speech.speech_task({"train": utterances, "validation": utterances}, rate=8000,
            attention=a)
            for a in (False, True)],
        "joined_strings": lambda: speech.joined_strings(KEY, LABELS),
        "spectrogram": lambda: [sound.normalized_power(audio[0]), sound.log_spectrogram(audio[0].astype(np.float32),
            8000)],
        "vocabulary": lambda: [v := vocabulary.most_frequent([s.split() for s in lines]), v.encode(lines[0]),
            p := vocabulary.learn_pieces(lines, size=40), p.encode(lines[0]), p.encode_batch(lines[:2])],
        "sequences": lambda: [sequences.pad([np.arange(3), np.arange(5)]), sequences.token_counts(TOKENS),
            sequences.units_of_prefixes(SIZE, [2, 4]), sequences.examples_for(SIZE, [50, 500])],
        "streamed": lambda: at("data.streamed").rows_of(POINTS, np.array([3, 5])),
    }  # fmt: skip


@group
def of_files() -> Mapping[str, Callable[[], Any]]:
    """Readers on the data sets in `$LCJAX_SHARED/data`, and the tasks that are made of them."""
    folder = Path(os.environ.get("LCJAX_SHARED", "../shared"), "data")
    load, sequences = at("data.sources").load_data, at("data.sequence_sources").load_sequences
    tasks = at("studies.hestness_tasks")
    digits = at("data.recordings").read_recordings

    def ranked(name: str) -> Any:
        task = tasks.hestness_task(name, tasks.find_data(folder, name), tasks.SMOKE)
        if not BEFORE:
            return [task, task.parameters()]
        return [task, np.array([at("studies.task").parameters_of(one, task.data) for one in task.programs])]

    def cifar(classes: int) -> Any:
        with tempfile.TemporaryDirectory() as place:
            for number, name in enumerate((*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "train", "test")):
                rows = rng(number).integers(0, 256, (4, 3072 + 1 + (classes == 100))).astype(np.uint8)
                rows[:, : 1 + (classes == 100)] %= 10
                Path(place, f"{name}.bin").write_bytes(rows.tobytes())
            return getattr(at("data.cifar"), f"read_cifar{classes}")(place)

    def wav() -> Any:
        with tempfile.TemporaryDirectory() as place:
            for number, name in enumerate(("3_anna_0", "1_bert_0", "1_anna_7")):
                with wave.open(f"{place}/{name}.wav", "wb") as file:
                    file.setparams((1, 2, 8000, 0, "NONE", ""))
                    file.writeframes(rng(number).integers(-999, 999, 300).astype(np.int16).tobytes())
            return digits(place)

    cases = {
        "idx": lambda: load(f"idx:{folder / 'mnist'}"),
        "libsvm/test": lambda: load(f"libsvm:{folder / 'dna' / 'dna.scale.gz'}", validation_fraction=0.3),
        "libsvm": lambda: load(f"libsvm:{folder / 'connect4' / 'connect-4.2class.gz'}", seed=1, test_fraction=0.2),
        "driving": lambda: load(f"driving:{folder / 'driving'}"),
        "cifar": lambda: [cifar(10), cifar(100)],
        "wav": wav,
        "recordings": lambda: digits(folder / "fsdd" / "fsdd.npz"),
        "split_sizes": lambda: [at("data.libsvm").split_sizes(name) for name in ("libsvm:x/a9a.gz", "digits")],
        "ptb": lambda: sequences(f"ptb:{folder / 'ptb'}", size=500, unroll=20),
        "characters": lambda: sequences(f"characters:{folder / 'tinyshakespeare' / 'input.txt.gz'}", longest=90),
        "multi30k": lambda: sequences(f"multi30k:{folder / 'multi30k'}", size=600, longest=25),
        "fsdd": lambda: sequences(f"fsdd:{folder / 'fsdd' / 'fsdd.npz'}", characters=False, seed=3),
        "fsdd/attention": lambda: sequences(f"fsdd:{folder / 'fsdd' / 'fsdd.npz'}", attention=True, shortest=1,
            longest=2),
    }  # fmt: skip
    return cases | {f"task/{name}": lambda n=name: ranked(n) for name in at("studies.hestness_tasks").TASKS}


@group
def of_complexity() -> Mapping[str, Callable[[], Any]]:
    capacity, filters, kernels, random = (
        at(f"complexity.{m}") for m in ("capacity", "filters", "interpolation", "randomization")
    )
    norm, bound, weight, vision = (at("complexity.minimum_norm"), at("complexity.vc_bound"),
        at("complexity.weight_measures"), at("models.vision"))  # fmt: skip
    signs, linear = np.where(POINTS[:, 0] > 0, 1.0, -1.0).astype(np.float32), np.array([1.0, 0.1, -0.1], np.float32)
    square, net = lambda a, b: (a - b) ** 2, vision.MLP((4,), 3)
    grown = [net.init(jax.random.key(i), POINTS)["params"] for i in range(2)]
    apply = lambda params, x: net.apply({"params": params}, x)  # noqa: E731
    stacked = [jax.tree.map(lambda leaf: leaf[None], params) for params in grown]
    small, pixels = np.where(np.abs(linear) > 0.5, linear, 0), (127 + 60 * IMAGES).clip(0, 255).astype(np.uint8)
    patches = lambda: filters.random_filters(KEY, IMAGES, 5, patches=50)  # noqa: E731
    return {
        "rademacher": lambda: [capacity.rademacher_complexity(KEY, capacity.linear_class(1.0), POINTS, draws=4),
            capacity.linear_class_bound(POINTS, 1.0)],
        "vc_bound": lambda: [capacity.vc_bound(97.0, 10_000), capacity.vc_dimension_of_net(1024, 2)],
        "stability": lambda: capacity.uniform_stability(KEY, capacity.ridge_regression(1.0), square, POINTS, signs,
            POINTS,
            signs, index=np.array([0, 3]), new_inputs=POINTS[5:7], new_targets=signs[5:7]),
        "memorizing_network": lambda: [m := at("complexity.expressivity").memorizing_network(KEY, POINTS[:9],
            signs[:9]),
            m.apply(POINTS[:9])],
        "filters": lambda: [filters.gabor_features(np.ones((2, 28, 28, 1), np.float32) * IMAGES[0, 0, 0, 0],
            orientations=2),
            patches(), filters.random_filter_gram(patches(), IMAGES)],
        "interpolation": lambda: [[k := kernels.kernel_interpolation(POINTS, signs, kernel, ridge=0.1),
            k.predict(POINTS[:5])]
            for kernel in (kernels.gaussian_kernel(1.0), kernels.polynomial_kernel(2), kernels.linear_kernel)],
        "interpolation/iterative": lambda: kernels.kernel_interpolation(
            POINTS, signs, kernels.gaussian_kernel(1.0), ridge=0.1, iterative=True),
        "gram_interpolation": lambda: kernels.gram_interpolation(POINTS @ POINTS.T, signs, ridge=1.0),
        "minimum_norm": lambda: [m := norm.minimum_norm(POINTS[:2], signs[:2]), m.predict(POINTS)],
        "gradient_descent": lambda: [norm.gradient_descent(KEY, POINTS[:2], signs[:2], steps=20, batch=b,
            records=4) for b in (None, 1)],
        "randomization": lambda: [random.corrupt_labels(KEY, LABELS, 3, 0.5), random.shuffle_pixels(KEY, pixels),
            random.random_pixels(KEY, pixels), random.gaussian_pixels(KEY, pixels), random.permutation(KEY, 9)],
        "sphere": lambda: [bound.enclosing_sphere(POINTS), bound.approximate_sphere(POINTS, steps=50)],
        "vc": lambda: [bound.geometric_margin(linear, 0.1, POINTS, signs), bound.vc_dimension_bound(3.0, 0.5, 9),
            bound.surrogate(linear, 0.1, POINTS), bound.larger_scores(linear, small, POINTS),
            bound.theorem_one(linear, small, POINTS, signs), bound.bound_steps(np.eye(3)[0], 0.0, POINTS, signs)],
        "weights": lambda: [weight.weight_norms(grown[0]), weight.path_norm(apply, grown[0], (3,)),
            weight.margins(apply(grown[0], POINTS), LABELS), weight.sharpness(
                KEY, lambda p: weight.mean_cross_entropy(apply(p, POINTS), LABELS), grown[0], steps=3)],
        "report": lambda: at("complexity.report").complexity_report(
            KEY, apply, *stacked, POINTS, LABELS, LABELS[::-1].copy(), layers=2),
    }  # fmt: skip


@group
def of_compression() -> Mapping[str, Callable[[], Any]]:
    fixed, pruning, quantization, storage = (
        at(f"compression.{m}") for m in ("fixed_point", "pruning", "quantization", "storage")
    )
    vision, some = at("models.vision"), 3 * POINTS[:, 0]
    net = vision.MLP((5,), 3)
    params = net.init(KEY, POINTS)["params"]
    right = lambda p: jnp.mean(jnp.argmax(net.apply({"params": p}, POINTS), 1) == LABELS)  # noqa: E731
    roundings = ("nearest_even", "half_up", "downwards", "towards_zero", "stochastic")
    return {
        "fixed_point": lambda: [[getattr(fixed, name)(some, KEY) for name in roundings], fixed.saturate(some, 3),
            fixed.wrap(some, 3), fixed.power_of_two(np.float32, -3), fixed.ends(np.float32, 4)],
        "prune": lambda: [pruning.prune(params, threshold=0.3), pruning.prune(params, sparsity=0.5, scope="global")],
        "prune_curve": lambda: [c := pruning.prune_curve(params, right, steps=5), c.largest_within(0.05)],
        "majority_accuracy": lambda: pruning.majority_accuracy(LABELS, LABELS[:7]),
        "quantize": lambda: [quantization.quantize(params, 5, 3, rounding=getattr(fixed, name),
            key=KEY) for name in roundings],
        "straight_through": lambda: jax.grad(lambda w: jnp.sum(quantization.straight_through(w, 4, 2) * some))(some),
        "bits": lambda: [quantization.widest_fraction_bits(params, 8), quantization.margin(params)],
        "quantize_curve": lambda: [c := quantization.quantize_curve(params, right, bits=(8, 4, 2), fraction_bits=(2,
            4)),
            c.fewest_bits()],
        "storage": lambda: [storage.surviving(params), storage.live_neurons(params), storage.stored_bits(params),
            storage.compression_ratio(np.array(100), np.array(7))],
    }  # fmt: skip


@group
def of_studies() -> Mapping[str, Callable[[], Any]]:
    recipes, three, zhang, sharma = (
        at(f"studies.{m}") for m in ("recipes", "table_three", "zhang_protocol", "sharma_tables")
    )
    cases, losses, digits = (
        at("studies.randomize_cases"),
        at("studies.sharma_losses"),
        at("data.sources").load_data("digits"),
    )
    protocol, records = at("studies.sharma_protocol"), at("records")
    nets = [(zhang.NETS["mlp-1x512"], 40)]
    return {
        "recipes": lambda: [getattr(recipes, f"{name}_recipe")(digits) for name in ("mlp", "lenet", "quicknet")],
        "table_three": lambda: [three.ROWS, [setting[1:] for r in three.ROWS.values()
            if "lenet" in r.label.lower() for setting in three.row_settings(r, three.row_recipe(r, digits),
                r.fractions)]],
        "zhang": lambda: [zhang.prepare(digits), zhang.count_parameters(nets[0][0].build(10), (8, 8, 1)),
            zhang.parameter_table()],
        "zhang_tables": lambda: [at("studies.zhang_tables").TABLE1,
            at("studies.zhang_tables").paper_rows("small-inception")],
        "sharma_tables": lambda: [{k: tuple(row) for k, row in sharma.TABLES.items()},
            sharma.paper_numbers("libsvm:dna.scale", "2 hidden of 50,50", ("H+W1",)),
            sharma.paper_row("connect-4.2class", 2)],
        "sharma_losses": lambda: [[losses.settings_of(n, losses.Grid()) for n in losses.LOSSES],
            losses.pairs(losses.QUICK_LOSSES)],
        "sharma_protocol": lambda: [protocol.mean_image(digits), protocol.cut(digits, 40),
            protocol.halve_test(digits).test],
        "cases": lambda: [cases.condition_cases(nets, levels=3), cases.regularizer_cases(nets), cases.width_cases(64,
            10, 1000)],
        "records": lambda: [records.canonical_hash({"a": [1, 2.5]}), records.to_dict(digits.test)],
        "best_guess": lambda: [at("studies.task").best_guess(digits, metric) for metric in ("loss", "error", "top5")],
    }  # fmt: skip


COMMANDS = {
    "fit": "fit {curves} --form last_value --form power_law --draws 10 --target-error 0.05",
    "fit/prior": "fit {curves} --form power_law --form power_law_offset --draws 10 --dimension 4 --guess 0.9"
    " --level 0.8",
    "fit/benchmark": "fit {table} --form last_value --form power_law --form mmf --draws 10",
    "predict/widths": "predict --size 200 --fractions 0.1,0.2,0.4,0.5,1 --steps 30 --seeds 1 --widths 1,2"
    " --fine-tune-steps 10 --law poisson --target-error 0.05",
    "simulate": "simulate --dimensions 2 --sizes 50,100 --test-size 40 --repeats 2 --precise-repeats 3",
    "dimension": "dimension --net mlp:5 --size 60 --steps 10 --widths 1,2",
    "measure": "measure --fractions 0.02,0.05,0.1 --steps 20 --seeds 1 --widths 4,8 --learning-rates 0.1",
    "measure/independent": "measure --fractions 0.02,0.05,0.1,0.2 --steps 20 --seeds 2 --widths 4"
    " --learning-rates 0.1,0.01 --shards independent",
    "rank": "rank --task images=digits --seeds 1",
    "compress": "compress --layers 1 --width 5 --losses H,S+W1+LCL --weight 1e-3 --preactivation 1e-4 --rates 0.1"
    " --epochs 1 --examples 100 --seeds 1 --no-pictures",
    "compress/grid": "compress --layers 1 --width 5 --losses H+W2,S --weight 1e-3,1e-1 --rates 0.1,0.01 --epochs 1"
    " --examples 100 --seeds 2",
    "randomize/widths": "randomize --experiment widths --ratios 10,20 --size 60 --steps 20 --batch 10 --records 2",
    "randomize": "randomize --net mlp-1x512:30 --levels 2 --steps 20 --batch 10 --records 3",
    "randomize/complexity": "randomize --experiment complexity --net mlp-1x512:20 --steps 60 --batch 10"
    " --records 3 --replacements 1 --seeds 2",
    "randomize/regularizers": "randomize --experiment regularizers --net mlp-1x512:30 --steps 10 --batch 5 --records 2",
    "interpolate": "interpolate --rows 40 --features pixels:0.4 --features filters:10 --ridge 0.001",
    "interpolate/iterative": "interpolate --rows 40 --ridge 0.001 --iterative",
}


@group
def of_commands() -> Mapping[str, Callable[[], Any]]:
    from typer.testing import CliRunner

    app, replace = at("cli.common").app, dataclasses.replace
    tasks, images_task = at("studies.hestness_tasks"), at("studies.hestness_tasks")._images

    def one_net(*arguments: Any) -> Any:
        task = images_task(*arguments)
        return replace(task, programs=task.programs[:1], rates=task.rates[:1])

    def json_of(text: str) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            curves, measured = Path(folder, "curves.csv"), zip(SIZE, REPEATS[0, 0].tolist(), strict=True)
            curves.write_text("size,error\n" + "".join(f"{n:g},{e!r}\n" for n, e in measured))
            table, columns = Path(folder, "table.csv"), "Domain,Task,Model,Seen Examples,Loss,Training"
            rows = [(c, n, REPEATS[c // 2, c % 2, i], n < 400) for c in range(3) for i, n in enumerate(SIZE.tolist())]
            table.write_text(
                "\n".join([columns, *(f"d{c % 2},t{c},m,{n:g},{float(e)!r},{k:d}" for c, n, e, k in rows)])
            )
            command = text.format(curves=curves, table=table).split()
            done = CliRunner().invoke(app, [*command, "--output", f"{folder}/out", "--json"])
            if done.exit_code:
                raise RuntimeError(done.output.replace(folder, ""))
            return json.loads(done.stdout)

    scale = tasks.SMOKE
    scale_module = sys.modules[type(scale).__module__]
    images = replace(scale.extents["images"], steps=10, epochs=0)
    for module in {scale_module, sys.modules[tasks.hestness_task.__module__]}:
        module.SMOKE = replace(scale, extents={**scale.extents, "images": images})
    tasks.TASKS["images"] = one_net
    return {name: lambda text=text: json_of(text) for name, text in COMMANDS.items()}


def parser_main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"))
    parser.add_argument("--rtol", type=float, default=0.0, help="largest relative difference that passes")
    parser.add_argument("--group", nargs="*", choices=sorted(GROUPS), default=sorted(GROUPS))
    parser.add_argument("--coverage", action="store_true", help="list the public functions that no case called (slow)")
    options = parser.parse_args()
    if options.compare:
        sys.exit(bool(compare(*(json.loads(path.read_text()) for path in options.compare), options.rtol)))
    print(f"lcjax of {Path(importlib.import_module('lcjax').__file__ or '').parent}", file=sys.stderr)
    called: set[Any] = set()
    if options.coverage:
        note = lambda frame, event, _: called.add(frame.f_code) if event == "call" else None  # noqa: E731
        sys.setprofile(note)
        threading.setprofile(note)
    found = {}
    for name in options.group:
        start = time.process_time()
        for case, result in run(name):
            found[case] = result
        print(f"{name}: {time.process_time() - start:.0f} s of processor time", file=sys.stderr)
    sys.setprofile(None)
    options.output.write_text(json.dumps(found, indent=0) + "\n")
    failed = [case for case, result in found.items() if "error" in result]
    print(f"{len(found)} cases, {sum(map(len, found.values()))} values; raised: {failed or 'none'}", file=sys.stderr)
    if options.coverage:
        print("\n".join(missed(called)))


def run(name: str) -> Iterator[tuple[str, Any]]:
    """Cases of one group and what they give; what a case raises is its result."""
    try:
        cases = GROUPS[name]()
    except Exception as error:  # the group's own inputs failed
        yield name, {"error": f"{type(error).__name__}: {error}"}
        return
    for case, thunk in cases.items():
        try:
            start = time.process_time()
            result = thunk()
            if (seconds := time.process_time() - start) > 5:
                print(f"    {name}/{case}: {seconds:.0f} s", file=sys.stderr, flush=True)
            yield f"{name}/{case}", dict(result) if isinstance(result, Exact) else dict(entries(result))
        except Exception as error:  # is a result too
            yield f"{name}/{case}", {"error": f"{type(error).__name__}: {error}"}


def missed(called: set[Any]) -> list[str]:
    """Public functions of which no code object is among the called."""
    absent = []
    for found in pkgutil.walk_packages(importlib.import_module("lcjax").__path__, "lcjax."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            function = inspect.unwrap(getattr(module, name)) if callable(getattr(module, name)) else None
            if (
                inspect.isfunction(function)
                and function.__module__ == module.__name__
                and function.__code__ not in called
            ):
                absent.append(f"{found.name}:{name}")
    return absent


if __name__ == "__main__":
    parser_main()
