"""Which execution form a program of many steps takes: a short measurement on this device, kept for the next time.

Measured is where it pays, on one device of one process; the rule of `choose_form` holds everywhere else.
"""

import contextlib
import dataclasses
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lcjax.data.examples import Data
from lcjax.files import cache_folder, write_json
from lcjax.records import canonical_hash
from lcjax.threads import cores
from lcjax.training.execution import step as steps
from lcjax.training.execution.execution import Form, choose_form, plausible_forms, rounds_of
from lcjax.training.execution.scheduler import advanced
from lcjax.training.execution.sharded import Placement, devices_of_job, local_devices
from lcjax.training.runs import Program

__all__ = ["Sample", "fastest_form", "seconds_of_a_step"]

WORTH_MEASURING = {"cpu": 2e12}  # weights used in all steps: minutes on two processors, 5e9 to 3e10 of them a second
WORTH_MEASURING_ELSEWHERE = 1e14  # an estimate
PLACES = 64  # at which a weight of a convolution is used in one image, about: LeNet, quick net, ResNet-18
TURNS, TURN_SECONDS, MOST_STEPS = 5, 0.1, 4**7
LONGEST = 30.0  # seconds after which no further form is compiled
MARGIN = 0.95  # of the rule's time, for another form to be taken: timings vary
FILE = "forms.json"

_measured: dict[str, dict[str, float]] = {}  # what this process has read or measured


@dataclasses.dataclass(frozen=True)
class Sample:
    """One run of a program, by which all of them are timed.

    Attributes:
        program: what is compiled.
        key: of the sweep.
        data: of the sweep, resident.
        orders: distinct orders of the table's shards.
        columns: of the run, scalars.
        initial: variables to start from, or `None`.
        mask: of the parameters, or `None`.
    """

    program: Program
    key: jax.Array
    data: Data
    orders: int
    columns: dict[str, jax.Array]
    initial: Any = None
    mask: Any = None


def fastest_form(
    params: Any,
    budgets: Sequence[int],
    sample: Sample,
    seconds: Callable[[Sample, Sequence[str]], dict[str, float]] | None = None,
) -> str:
    """The form in which a table of runs would take the least time, by measurement where that pays.

    Each form's time is its seconds a model-step times the steps of its slots, idle ones included. The rule's form stays
    unless another one is 5 % faster. Measurements are kept in the process and in `forms.json` of the cache folder
    (`lcjax.files.cache_folder`), by what is compiled, JAX's version, device and processors. The rule decides alone
    where all steps together use fewer than 2e12 weights (1e14 on accelerators: steps x batch x parameters, those of
    convolutions 64 times), where measuring makes more than a tenth of the steps, with several devices or processes, and
    for programs of functions without a lasting name.

    Args:
        params: the model's parameters, or their shapes.
        budgets: steps of each run.
        sample: a run to measure.
        seconds: seconds a model-step of forms; `seconds_of_a_step` by default.
    """
    rule = choose_form(params, budgets, devices_of_job())
    worth = WORTH_MEASURING.get(jax.default_backend(), WORTH_MEASURING_ELSEWHERE)
    if devices_of_job() > 1 or _work(params, budgets, sample.program.batch) < worth:
        return rule
    forms = plausible_forms(params, budgets)
    least = 3 * sum(Form.parse(form).width for form in forms)  # steps, to compile, to count and in one turn
    name = _identity(sample) if len(forms) > 1 and sum(budgets) >= 10 * least else None
    if name is None:
        return rule
    known = _measured.setdefault(name, {})
    known.update({form: value for form, value in _read().get(name, {}).items() if form not in known})
    if any(form not in known for form in forms):  # all again: only what took turns compares
        known.update(dict.fromkeys(forms, math.inf) | (seconds or seconds_of_a_step)(sample, forms))
        _write(name, known)

    def total(form: str) -> float:
        how = Form.parse(form)
        slots = {"vmap": how.width, "map": how.threads, "step": min(how.width, cores())}[how.kind]  # at once
        return known[form] * slots * rounds_of(budgets, slots)

    best = min(forms, key=total)
    return best if total(best) < MARGIN * total(rule) else rule


def seconds_of_a_step(sample: Sample, forms: Sequence[str]) -> dict[str, float]:
    """Seconds a model-step of each form, compiled and called as in training; infinite where memory is too small.

    First each form is compiled; then they take five turns of about a tenth of a second, of which the best counts: what
    else the machine does hits all of them. After half a minute no further form is compiled, and one turn is enough.
    """
    begin = time.perf_counter()
    orders = np.tile(np.arange(len(sample.data.train.targets), dtype=np.int32), (sample.orders, 1))
    placement = Placement.of(sample.data, orders, 1)
    counts: dict[str, int] = {}
    found: dict[str, float] = {}
    for turn in range(1 + TURNS):
        for form in forms if turn == 0 else tuple(counts):
            late = time.perf_counter() - begin > LONGEST
            if late and (counts if turn == 0 else turn > 1):
                break
            how = Form.parse(form)
            try:
                if turn == 0:
                    counts[form] = _count(sample, placement, how)
                else:
                    seconds = _seconds(sample, placement, how, counts[form]) / (counts[form] * how.width)
                    found[form] = min(seconds, found.get(form, math.inf))
            except jax.errors.JaxRuntimeError as reason:
                if "RESOURCE_EXHAUSTED" not in str(reason):
                    raise
                found[form] = math.inf
                counts.pop(form, None)
    return found


def _count(sample: Sample, placement: Placement, how: Form) -> int:
    """Steps of a slot that take about as long as a turn should; compiles them."""
    _seconds(sample, placement, how, 1)
    count = 1
    while count < MOST_STEPS and _seconds(sample, placement, how, count) < TURN_SECONDS / 2:
        count *= 4
    return count


def _seconds(sample: Sample, placement: Placement, how: Form, count: int) -> float:
    """Seconds of so many steps in all slots."""
    slot = steps.start(
        sample.key,
        placement.data,
        placement.orders,
        {} if sample.initial is None else sample.initial,
        sample.mask,
        sample.columns,
        jnp.int32(0),
        jnp.int32(1_000_000),
        program=sample.program,
    )
    slots = jax.block_until_ready(placement.chunk(slot, how.width))
    todo = np.full(how.width, count, np.int32)
    before = time.perf_counter()
    jax.block_until_ready(advanced(slots, placement.data, placement.orders, todo, sample.program, how))
    return time.perf_counter() - before


def _work(params: Any, budgets: Sequence[int], batch: int) -> float:
    """Weights used in all steps of all runs, about: no timing, the same everywhere."""
    weights = sum(leaf.size * (PLACES if leaf.ndim > 2 else 1) for leaf in jax.tree.leaves(params))
    return float(sum(budgets)) * batch * weights


def _identity(sample: Sample) -> str | None:
    """What a measurement holds for: all that is compiled but the length of the table, and the device."""
    device, train = local_devices()[0], sample.data.train
    try:
        names = [field.name for field in dataclasses.fields(sample.program) if field.name != "budget"]
        return canonical_hash(
            {
                "program": {name: getattr(sample.program, name) for name in names},
                "inputs": [[*leaf.shape[1:], str(leaf.dtype)] for leaf in jax.tree.leaves(train.inputs)],
                "targets": [*np.shape(train.targets)[1:], str(train.targets.dtype)],
                "columns": sorted(sample.columns),
                "mask": sample.mask is not None,
                "jax": jax.__version__,
                "device": [device.platform, device.device_kind, _processor(), cores()],
                "settings": [jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision],  # type: ignore[attr-defined]
            }
        )
    except (ValueError, TypeError):
        return None


def _processor() -> str:
    """What the host computes with: its cache folder may be shared with other machines."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor()


def _read() -> dict[str, dict[str, float]]:
    """Measurements of other processes; whatever is damaged counts as not there."""
    folder = cache_folder()
    try:
        held = json.loads((folder / FILE).read_text()) if folder is not None else {}
        found = {name: {form: float(value) for form, value in values.items()} for name, values in held.items()}
        for form, value in (pair for values in found.values() for pair in values.items()):
            Form.parse(form)
            if not value > 0:
                return {}
        return found
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(name: str, known: dict[str, float]) -> None:
    """Keep what was measured, beside what others have kept meanwhile; a folder that cannot be written is none."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        write_json(folder / FILE, {**_read(), name: known})
    except OSError:
        return
