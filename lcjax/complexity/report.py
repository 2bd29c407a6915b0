"""One table of complexity measures: do they tell a net trained on true labels from one trained on random labels?"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Key, Num

from lcjax.complexity.capacity import Rademacher, Stability, vc_bound, vc_dimension_of_net
from lcjax.complexity.weight_measures import margins, mean_cross_entropy, path_norm, sharpness, weight_norms
from lcjax.kernels.compilation import jit
from lcjax.records import record

__all__ = ["ComplexityReport", "complexity_report"]

Array = jax.Array | np.ndarray

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
    """Measures of nets trained on true and on random labels, r nets each.

    Attributes:
        name: of each measure, k of them.
        formula: likewise.
        true_labels: `(k, r)`.
        random_labels: `(k, r)`.
        separates: whether every net on random labels comes out as more complex than every net on true labels, `(k,)`.
        ratio: random over true, of the means, `(k,)`.
    """

    name: tuple[str, ...] = jax.tree.static()
    formula: tuple[str, ...] = jax.tree.static()
    true_labels: Float[Array, "k r"]
    random_labels: Float[Array, "k r"]
    separates: Bool[Array, " k"]
    ratio: Float[Array, " k"]

    def __str__(self) -> str:
        """The table."""
        rows = [f"{'measure':28}{'true labels':>13}{'random labels':>15}  separates  formula"]
        for i, name in enumerate(self.name):
            true, random = (float(np.mean(values[i])) for values in (self.true_labels, self.random_labels))
            rows.append(
                f"{name:28}{true:13.4g}{random:15.4g}  {'yes' if self.separates[i] else 'no':9}  {self.formula[i]}"
            )
        return "\n".join(rows)


def complexity_report(
    key: Key[Array, ""],
    apply: Callable[[Any, Any], Any],
    true_params: Any,
    random_params: Any,
    inputs: Num[Array, "n *shape"],
    labels: Int[Array, " n"],
    random_labels: Int[Array, "*r n"],
    *,
    layers: int,
    rademacher: Rademacher | None = None,
    stability: tuple[Stability, Stability] | None = None,
) -> ComplexityReport:
    """Work out every measure for nets trained on true and on random labels.

    The paper's point is that most measures cannot explain why one generalizes and the other does not: those that depend
    on the class of functions only are the same for both by definition. Measures of the weights and margins often do
    separate; that they order two nets is not yet that they bound an error.

    Args:
        key: typed key of the sharpness.
        apply: `(params, inputs) -> outputs (n, c)`.
        true_params: of r nets trained on true labels, leaves with a leading axis r.
        random_params: of r nets trained on random labels.
        inputs: the training inputs of both.
        labels: true labels.
        random_labels: the random labels, `(r, n)` or the same `(n,)` for every net.
        layers: with weights, for the VC dimension.
        rademacher: of the class, from `rademacher_complexity`; left out if not given.
        stability: on true and on random labels, from `uniform_stability`; left out if not given.

    Returns:
        The table, which prints itself.

    Raises:
        ValueError: the two sets of parameters do not have the same shapes.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> x, y = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 1])
        >>> small, large = jnp.eye(2)[None], 5 * jnp.eye(2)[None, ::-1]
        >>> table = complexity_report(jax.random.key(0), lambda w, x: x @ w, small, large, x, y, 1 - y, layers=1)
        >>> dict(zip(table.name, table.separates.tolist()))["Frobenius norm"]
        True
    """
    shapes = [jax.tree.map(jnp.shape, params) for params in (true_params, random_params)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"The nets trained on true and on random labels differ in shape: {shapes[0]} and {shapes[1]}.")
    inputs, repeats = jnp.asarray(inputs), jax.tree.leaves(true_params)[0].shape[0]
    n, counted = len(inputs), sum(leaf[0].size for leaf in jax.tree.leaves(true_params))
    columns: list[dict[str, Any]] = []
    for params, wanted in ((true_params, jnp.asarray(labels)), (random_params, jnp.asarray(random_labels))):
        wanted = jnp.broadcast_to(wanted, (repeats, n))
        measured = _of_weights(key, params, inputs, wanted, apply)
        column: dict[str, Any] = {name: np.asarray(value) for name, value in measured.items()}
        train_error = column.pop("train error")
        vc = vc_bound(vc_dimension_of_net(counted, layers), float(n), train_error=jnp.asarray(train_error))
        column |= {  # the same for both
            "parameters": np.full(repeats, counted),
            "parameters / examples": np.full(repeats, counted / n),
            "VC bound, root": np.asarray(vc["root"]),
            "VC bound, without root": np.asarray(vc["without root"]),
        }
        columns.append(column)
    if rademacher is not None:
        for column in columns:
            column["Rademacher complexity"] = np.full(repeats, rademacher.value)
    if stability is not None:
        for column, found in zip(columns, stability, strict=True):
            column["uniform stability"] = np.full(repeats, found.largest)
    names = tuple(name for name in FORMULAS if name in columns[0])
    true, random = (np.stack([column[name] for name in names]).astype(float) for column in columns)
    turned = np.array([-1 if name in _SMALLER_IS_COMPLEX else 1 for name in names])[:, None]
    separates = np.min(turned * random, axis=1) > np.max(turned * true, axis=1)
    ratio = random.mean(axis=1) / np.where(true.mean(axis=1) == 0, np.nan, true.mean(axis=1))
    return ComplexityReport(names, tuple(FORMULAS[name] for name in names), true, random, separates, ratio)


@jit(static_argnames="apply")
def _of_weights(key: Any, params: Any, inputs: Any, labels: Any, apply: Any) -> dict[str, Any]:
    def one(params: Any, labels: jax.Array) -> dict[str, Any]:
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

    return jax.lax.map(lambda pair: one(*pair), (params, labels))
