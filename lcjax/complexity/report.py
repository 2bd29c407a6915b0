"""One table of complexity measures that compares networks trained on true and on random labels."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Num

from lcjax.complexity.capacity import Rademacher, Stability, vc_bounds, vc_dimension_of_network
from lcjax.complexity.weight_measures import margins, mean_cross_entropy, path_norm, sharpness, weight_norms
from lcjax.kernels.compilation import jit
from lcjax.records import record
from lcjax.typing import Array, ArrayTree, KeyArray, check_key

__all__ = ["ComplexityReport", "complexity_report"]

Params = TypeVar("Params", bound=ArrayTree)

FORMULAS = {
    "parameters": "p",
    "parameters / examples": "p / n",
    "VC bound, root": "train error + sqrt((VC - ln eta) / n), VC = p L log2 p",
    "VC bound, without root": "(VC - ln eta) / n at zero training error",
    "Rademacher complexity": "E_sigma sup_h 1/n sum_i sigma_i h(x_i)",
    "uniform stability": "max |loss(A(S), z) - loss(A(S^i), z)|",
    "Frobenius norm": "sqrt(sum w^2)",
    "spectral product": "prod_l |W_l|_2",
    "path norm": "sqrt(sum over paths of prod w^2)",
    "margin, 10th percentile": "q10 of f_y - max_other f",
    "spectral product / margin": "prod_l |W_l|_2 / mean margin",
    "sharpness": "(max_v loss(w + v) - loss(w)) / (1 + loss(w)), |v_i| <= 1e-3 (|w_i| + 1)",
}
_SMALLER_IS_COMPLEX = {"margin, 10th percentile"}


@record
class ComplexityReport:
    """Complexity measures of networks trained on true and on random labels, r networks each; prints as a table.

    Attributes:
        name: of each of k measures.
        formula: of each measure.
        true_labels: values of networks trained on true labels, `(k, r)`.
        random_labels: values of networks trained on random labels, `(k, r)`.
        separates: True if every network on random labels is more complex than every one on true labels, `(k,)`.
        ratio: mean on random labels over mean on true labels, `(k,)`.
    """

    name: tuple[str, ...] = jax.tree.static()
    formula: tuple[str, ...] = jax.tree.static()
    true_labels: Float[Array, "k r"]
    random_labels: Float[Array, "k r"]
    separates: Bool[Array, " k"]
    ratio: Float[Array, " k"]

    def __str__(self) -> str:
        """Format the table."""
        rows = [f"{'measure':28}{'true labels':>13}{'random labels':>15}  separates  formula"]
        for i, name in enumerate(self.name):
            true, random = (float(np.mean(values[i])) for values in (self.true_labels, self.random_labels))
            rows.append(
                f"{name:28}{true:13.4g}{random:15.4g}  {'yes' if self.separates[i] else 'no':9}  {self.formula[i]}"
            )
        return "\n".join(rows)


def complexity_report(
    key: KeyArray,
    apply: Callable[[Params, jax.Array], jax.Array],
    true_params: Params,
    random_params: Params,
    inputs: Num[Array, "n *shape"],
    labels: Int[Array, " n"],
    random_labels: Int[Array, "*r n"],
    *,
    layers: int,
    rademacher: Rademacher | None = None,
    stability: tuple[Stability, Stability] | None = None,
) -> ComplexityReport:
    """Compute every complexity measure of networks trained on true and on random labels.

    Zhang et al. (2017) show that most measures cannot explain why one network generalizes and the other does not: those
    that depend on the class of functions alone are the same for both by definition. Measures of weights and margins
    often do separate the two, but a correct order of two networks is not yet a bound on their error.

    Args:
        key: typed key of the sharpness.
        apply: `(params, inputs) -> outputs (n, c)`.
        true_params: parameters of r networks trained on true labels, leaves with a leading axis r.
        random_params: parameters of r networks trained on random labels.
        inputs: training inputs of both.
        labels: true labels.
        random_labels: random labels, `(r, n)`, or the same `(n,)` for every network.
        layers: number of layers with weights, for the VC dimension.
        rademacher: of the class, from `rademacher_complexity`; omitted by default.
        stability: on true and on random labels, from `uniform_stability`; omitted by default.

    Returns:
        `ComplexityReport` of k measures, values `(k, r)`; `print` shows it as a table of means over networks.

    Raises:
        ValueError: the two sets of parameters differ in shape.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> x, y = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 1])
        >>> small, large = jnp.eye(2)[None], 5 * jnp.eye(2)[None, ::-1]
        >>> table = complexity_report(jax.random.key(0), lambda w, x: x @ w, small, large, x, y, 1 - y, layers=1)
        >>> dict(zip(table.name, table.separates.tolist()))["Frobenius norm"]
        True
    """
    check_key(key)
    shapes = [jax.tree.map(jnp.shape, params) for params in (true_params, random_params)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The networks trained on true and on random labels differ in shape: {shapes[0]} and {shapes[1]}."
        )
    inputs, leaves = jnp.asarray(inputs), jax.tree.leaves(true_params)
    repeats, n, count = leaves[0].shape[0], len(inputs), sum(leaf[0].size for leaf in leaves)
    columns: list[dict[str, Float[np.ndarray, " r"]]] = []
    for params, wanted in ((true_params, jnp.asarray(labels)), (random_params, jnp.asarray(random_labels))):
        wanted = jnp.broadcast_to(wanted, (repeats, n))
        measures = _weight_measures(key, params, inputs, wanted, apply)
        column = {name: np.asarray(value) for name, value in measures.items()}
        train_error = jnp.asarray(column.pop("train error"))
        vc = vc_bounds(vc_dimension_of_network(count, layers), float(n), train_error=train_error)
        same_for_both = {"parameters": count, "parameters / examples": count / n}
        if rademacher is not None:
            same_for_both["Rademacher complexity"] = float(rademacher.value)
        column |= {name: np.full(repeats, value, float) for name, value in same_for_both.items()}
        column |= {"VC bound, root": np.asarray(vc["root"]), "VC bound, without root": np.asarray(vc["without root"])}
        columns.append(column)
    if stability is not None:
        for column, change in zip(columns, stability, strict=True):
            column["uniform stability"] = np.full(repeats, change.largest)
    names = tuple(name for name in FORMULAS if name in columns[0])
    true, random = (np.stack([column[name] for name in names]).astype(float) for column in columns)
    sign = np.array([-1 if name in _SMALLER_IS_COMPLEX else 1 for name in names])[:, None]
    separates = np.min(sign * random, axis=1) > np.max(sign * true, axis=1)
    ratio = random.mean(axis=1) / np.where(true.mean(axis=1) == 0, np.nan, true.mean(axis=1))
    return ComplexityReport(names, tuple(FORMULAS[name] for name in names), true, random, separates, ratio)


@jit(static_argnames="apply")
def _weight_measures(
    key: KeyArray,
    params: Params,
    inputs: Num[jax.Array, "n *shape"],
    labels: Int[jax.Array, "r n"],
    apply: Callable[[Params, jax.Array], jax.Array],
) -> dict[str, Array]:
    def measure(params: Params, labels: Int[jax.Array, " n"]) -> dict[str, Array]:
        outputs = apply(params, inputs)
        norms, margin = weight_norms(params), margins(outputs, labels)
        return {
            "train error": jnp.mean(margin <= 0),
            "Frobenius norm": norms.frobenius,
            "spectral product": norms.spectral_product,
            "path norm": path_norm(apply, params, inputs.shape[1:]),
            "margin, 10th percentile": jnp.quantile(margin, 0.1),
            "spectral product / margin": norms.spectral_product / jnp.mean(margin),
            "sharpness": sharpness(key, lambda w: mean_cross_entropy(apply(w, inputs), labels), params),
        }

    measures: dict[str, Array] = jax.lax.map(lambda pair: measure(*pair), (params, labels))
    return measures
