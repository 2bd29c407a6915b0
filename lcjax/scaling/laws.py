"""Published scaling laws, in the house's convention: exponents are negative, `scale * size ** exponent`.

The ranges in which fits begin hold the published values. Variables are "params" (parameters of the model), "tokens"
(training examples seen), and for some laws a third one; any unit will do, if it is the same in a prediction.
"""

import functools

import jax
import jax.numpy as jnp

from lcjax.scaling.law import Law, Parameter, Values

__all__ = [
    "LAWS",
    "broken",
    "chinchilla",
    "data_constrained",
    "in_compute",
    "in_params",
    "in_tokens",
    "kaplan",
    "precision",
    "sparsity",
    "vocabulary",
]

_STEEPEST, _FLATTEST = -2.0, -0.01


def _exponent(name: str) -> Parameter:
    return Parameter(name, _STEEPEST, _FLATTEST, start=(-1.0, -0.05))


def _scale(name: str) -> Parameter:
    return Parameter(name, linear=True)


def _power(size: jax.Array | float, exponent: jax.Array | float) -> jax.Array:
    # A logarithm of the n sizes and an exponential of all problems' products: XLA's power is several times slower.
    return jnp.exp(exponent * jnp.log(size))


def _chinchilla(p: Values, x: Values) -> jax.Array:
    model = p["model_scale"] * _power(x["params"], p["model_exponent"])
    return jnp.asarray(p["offset"] + model + p["data_scale"] * _power(x["tokens"], p["data_exponent"]))


_SUM = (_scale("offset"), _scale("model_scale"), _exponent("model_exponent"), _scale("data_scale"))

chinchilla = Law(
    "chinchilla",
    _chinchilla,
    (*_SUM, _exponent("data_exponent")),
    ("params", "tokens"),
    "offset + model_scale * params ** model_exponent + data_scale * tokens ** data_exponent",
)
"""Sum of two power laws (Hoffmann et al., 2022, Eq. (2))."""


def _kaplan(p: Values, x: Values) -> jax.Array:
    ratio = p["model_exponent"] / p["data_exponent"]
    inner = _power(x["params"] / p["critical_params"], -ratio) + p["critical_tokens"] / x["tokens"]
    return _power(inner, -p["data_exponent"])


kaplan = Law(
    "kaplan",
    _kaplan,
    (
        Parameter("critical_params", 1.0, 1e30, start=(1e8, 1e16)),
        _exponent("model_exponent"),
        Parameter("critical_tokens", 1.0, 1e30, start=(1e8, 1e16)),
        _exponent("data_exponent"),
    ),
    ("params", "tokens"),
    "((critical_params / params) ** (model_exponent / data_exponent) + critical_tokens / tokens) ** -data_exponent",
)
"""Law without an irreducible loss (Kaplan et al., 2020, Eq. (1.5)); the exponents are negative here."""


def _in(variable: str, p: Values, x: Values) -> jax.Array:
    return jnp.asarray(p["offset"] + p["scale"] * x[variable] ** p["exponent"])


def _one_factor(variable: str) -> Law:
    return Law(
        f"in_{variable}",
        functools.partial(_in, variable),
        (_scale("offset"), _scale("scale"), _exponent("exponent")),
        (variable,),
        f"offset + scale * {variable} ** exponent",
    )


in_params = _one_factor("params")
"""Power law in model size at one number of examples (Hestness et al., 2017, section 2)."""
in_tokens = _one_factor("tokens")
"""Power law in examples for one model."""
in_compute = _one_factor("compute")
"""Power law in compute along the compute-optimal frontier (Kaplan et al., 2020, Eq. (1.3))."""


def _bend(size: jax.Array | float, place: jax.Array | float, change: jax.Array | float) -> jax.Array:
    # A transition over about a decade: the width of Caballero et al. is fixed, because a few sizes do not determine it.
    width = 0.5
    return (1 + (size / jnp.asarray(place)) ** (1 / width)) ** (change * width)


def _broken(p: Values, x: Values) -> jax.Array:
    model = (
        p["model_scale"] * _power(x["params"], p["model_exponent"]) * _bend(x["params"], p["params_break"], p["bend"])
    )
    data = p["data_scale"] * _power(x["tokens"], p["data_exponent"])
    return jnp.asarray(p["offset"] + model + data * _bend(x["tokens"], p["tokens_break"], p["data_bend"]))


broken = Law(
    "broken",
    _broken,
    (
        *_SUM,
        _exponent("data_exponent"),
        Parameter("params_break", 1.0, 1e16, start=(1e6, 1e11)),
        Parameter("bend", -1.0, 1.0, start=(-0.3, 0.3)),
        Parameter("tokens_break", 1.0, 1e18, start=(1e8, 1e13)),
        Parameter("data_bend", -1.0, 1.0, start=(-0.3, 0.3)),
    ),
    ("params", "tokens"),
    "the chinchilla law whose two exponents change by `bend` and `data_bend` beyond params_break and tokens_break",
)
"""Smoothly broken law in two variables, one break each (Caballero et al., 2023, Eq. (1), in each variable)."""


def _saturate(size: jax.Array, unique: jax.Array, decay: jax.Array | float) -> jax.Array:
    repeats = size / unique - 1
    return unique * (1 + decay * -jnp.expm1(-repeats / decay))


def _data_constrained(p: Values, x: Values) -> jax.Array:
    tokens, params = jnp.asarray(x["tokens"]), jnp.asarray(x["params"])
    unique = jnp.minimum(jnp.asarray(x["unique_tokens"]), tokens)
    # Parameters that the unique tokens would use at the compute-optimal ratio of the law without repetition.
    a, b = -p["model_exponent"], -p["data_exponent"]
    ratio = _power(p["model_scale"] * a / (p["data_scale"] * b), 1 / a)
    base = jnp.minimum(params, ratio * _power(unique, b / a))
    model = p["model_scale"] * _power(_saturate(params, base, p["params_decay"]), p["model_exponent"])
    data = p["data_scale"] * _power(_saturate(tokens, unique, p["repeats_decay"]), p["data_exponent"])
    return jnp.asarray(p["offset"] + model + data)


data_constrained = Law(
    "data_constrained",
    _data_constrained,
    (
        Parameter("offset", 0.0, 100.0, start=(0.5, 3.0)),
        Parameter("model_scale", 1e-3, 1e12, start=(10.0, 1e5)),
        _exponent("model_exponent"),
        Parameter("data_scale", 1e-3, 1e12, start=(10.0, 1e6)),
        _exponent("data_exponent"),
        Parameter("repeats_decay", 0.1, 1e4, start=(1.0, 100.0)),
        Parameter("params_decay", 0.1, 1e4, start=(1.0, 100.0)),
    ),
    ("params", "tokens", "unique_tokens"),
    "the chinchilla law with repeated tokens and surplus parameters worth exponentially less",
)
"""Law of repeated data (Muennighoff et al., 2023, Eqs. (5) and (6))."""


def _vocabulary(p: Values, x: Values) -> jax.Array:
    model = p["model_scale"] * _power(x["params"], p["model_exponent"])
    words = p["vocabulary_scale"] * _power(x["vocabulary_params"], p["vocabulary_exponent"])
    return jnp.asarray(p["offset"] + model + words + p["data_scale"] * _power(x["tokens"], p["data_exponent"]))


vocabulary = Law(
    "vocabulary",
    _vocabulary,
    (
        Parameter("offset", -jnp.inf, jnp.inf, linear=True),
        *_SUM[1:],
        _exponent("data_exponent"),
        _scale("vocabulary_scale"),
        _exponent("vocabulary_exponent"),
    ),
    ("params", "vocabulary_params", "tokens"),
    "offset + model_scale * params ** model_exponent + vocabulary_scale * vocabulary_params ** vocabulary_exponent + "
    "data_scale * tokens ** data_exponent",
    residual="raw",
)
"""Law of the loss relative to unigrams, which may be negative (Tao et al., 2024, Eq. (4))."""


def _precision(p: Values, x: Values) -> jax.Array:
    params = x["params"] * -jnp.expm1(-jnp.asarray(x["bits"]) / p["bits_scale"])
    return _chinchilla(p, {**x, "params": params})


precision = Law(
    "precision",
    _precision,
    (*chinchilla.parameters, Parameter("bits_scale", 0.1, 100.0, start=(1.0, 8.0))),
    ("params", "tokens", "bits"),
    "the chinchilla law with params * (1 - exp(-bits / bits_scale)) parameters",
)
"""Law of training in few bits (Kumar et al., 2024, Eq. (3))."""


def _sparsity(p: Values, x: Values) -> jax.Array:
    density = _power(x["density"], p["density_exponent"])
    model = (p["density_scale"] * density + p["model_scale"]) * _power(x["params"], p["model_exponent"])
    return jnp.asarray(p["offset"] + model + p["data_scale"] * _power(x["tokens"], p["data_exponent"]))


sparsity = Law(
    "sparsity",
    _sparsity,
    (*chinchilla.parameters, _scale("density_scale"), Parameter("density_exponent", 0.01, 4.0, start=(0.1, 2.0))),
    ("params", "tokens", "density"),
    "offset + (density_scale * density ** density_exponent + model_scale) * params ** model_exponent + "
    "data_scale * tokens ** data_exponent",
)
"""Law of sparse networks, params being those that are not zero (Frantar et al., 2023, Eq. (1))."""

LAWS = {
    law.name: law
    for law in (
        chinchilla,
        kaplan,
        broken,
        in_params,
        in_tokens,
        in_compute,
        data_constrained,
        vocabulary,
        precision,
        sparsity,
    )
}
"""All laws by name."""
