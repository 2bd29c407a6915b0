"""Language models: exact sizes, perplexity by hand, the state carried between windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lcjax as lc
from lcjax.models.preactivations import apply_with_preactivations
from lcjax.models.sequence.language import CharacterLanguageModel, LanguageModel, WordLanguageModel
from lcjax.models.sequence.speech import AttentionSpeech
from lcjax.models.sequence.translation import Translation
from tests.models.layers.test_recurrent import by_hand
from tests.models.problems import random_variables

COUNTS = [
    (WordLanguageModel(10_000, 512), 14_448_400),
    (WordLanguageModel(10_000, 1024), 37_275_408),
    (WordLanguageModel(10_000, 512, width=4.0), 108_095_248),
    (WordLanguageModel(10_000, 512, layers=4), 14_448_400 + 2 * 2_099_200),
    (LanguageModel(10_000, 830, layers=1, depth=10, tied=True), 23_482_400),
    (WordLanguageModel(10_000, 830, layers=1, depth=5, tied=True), 16_585_100),
    (CharacterLanguageModel(98, 10), 98 * 10 + 2 * 10 * 10 + 10 * (2 * 10 * 10 + 20) + 10 * 98 + 98),
]
TOKENS = np.random.default_rng(0).integers(0, 7, (3, 9)).astype(np.int32)
INPUTS, TARGETS = TOKENS[:, :-1], TOKENS[:, 1:].copy()
TARGETS[1, 5:] = -1


@pytest.mark.parametrize(("model", "count"), COUNTS)
def test_parameter_counts(model, count):
    tokens = jax.ShapeDtypeStruct((1, 80), jnp.int32)
    variables = jax.eval_shape(model.init, jax.random.key(0), tokens)
    assert lc.models.parameter_count(variables) == count


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (lambda **o: WordLanguageModel(300, 16, **o), jnp.zeros((1, 4), jnp.int32)),
        (
            lambda **o: Translation(300, 300, 16, **o),
            {"source": jnp.zeros((1, 4), jnp.int32), "target": jnp.zeros((1, 4), jnp.int32)},
        ),
        (
            lambda **o: AttentionSpeech(300, 299, 16, **o),
            {"frames": jnp.zeros((1, 16, 5)), "length": jnp.array([16]), "target": jnp.zeros((1, 4), jnp.int32)},
        ),
    ],
)
def test_embeddings_begin_as_wide_as_they_are_told(kind, inputs):
    for options, spread in (({}, 0.1), ({"spread": 1.5}, 1.5)):
        model = kind(**options)

        @jax.jit
        def tables(key, model=model):  # of the embeddings alone, which compile faster than all variables
            params = model.init(key, inputs)["params"]
            return [params[name]["embedding"] for name in params if "embedding" in name]

        for table in map(np.asarray, tables(jax.random.key(0))):
            assert spread * 0.99 < table.max() <= spread
            assert -spread <= table.min() < -spread * 0.99


def perplexity_by_hand(model, params):
    layers = [params[f"recurrent_{i}"] for i in range(model.layers)]
    table, head = np.float64(params["embedding"]["embedding"]), params["head"]
    kernel = table.T if model.tied else np.float64(head["kernel"])
    total, tokens = 0.0, 0
    for inputs, targets in zip(INPUTS, TARGETS, strict=True):
        value = table[inputs]
        for layer in layers:
            cell = lc.models.LSTM(model.units) if model.depth is None else lc.models.RHN(model.units, model.depth)
            value, _, _ = by_hand(cell, layer, value)
        for features, target in zip(value, targets, strict=True):
            if target >= 0:
                logits = features @ kernel + np.float64(head["bias"])
                total, tokens = total + np.log(np.exp(logits - logits[target]).sum()), tokens + 1
    return np.exp(total / tokens)


@pytest.mark.parametrize(
    "model",
    [
        LanguageModel(7, 12),
        WordLanguageModel(7, 12, tied=True),
        WordLanguageModel(7, 12, layers=1, depth=5),
        CharacterLanguageModel(7, 12, tied=True),
    ],
    ids=["LSTM", "tied", "RHN", "characters"],
)
def test_perplexity_matches_numpy(model):
    params = random_variables(model, INPUTS, np.float32)["params"]
    logits = jax.jit(model.apply)({"params": params}, INPUTS)
    losses, tokens = lc.models.token_cross_entropy(logits, TARGETS), lc.models.tokens_of(TARGETS)
    assert tokens.tolist() == [8, 5, 8]
    expected = perplexity_by_hand(model, params)
    assert abs(expected - 7) > 0.05  # not the uniform one
    np.testing.assert_allclose(np.exp(losses.sum() / tokens.sum()), expected, rtol=1e-5)
    _, scalars = jax.eval_shape(lambda p: apply_with_preactivations(model, {"params": p}, INPUTS), params)
    assert set(scalars) == {*(f"recurrent_{i}" for i in range(model.layers)), "head"}


@pytest.mark.parametrize(
    "model",
    [WordLanguageModel(7, 5), pytest.param(WordLanguageModel(7, 5, depth=2), marks=pytest.mark.slow)],
    ids=["LSTM", "RHN"],
)
def test_two_windows_with_the_state_carried_are_one_twice_as_long(model):
    with jax.enable_x64(True):
        variables = jax.jit(model.init)(jax.random.key(0), INPUTS)
        assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(variables["carry"]))
        params = {"params": random_variables(model, INPUTS)["params"]}
        whole = jax.jit(model.apply)(params, INPUTS)
        apply = jax.jit(lambda v, x: model.apply(v, x, mutable=["carry"]))
        first, state = apply(params, INPUTS[:, :4])
        second, later = apply({**params, **state}, INPUTS[:, 4:])
        np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-12)
        assert jax.tree.structure(later) == jax.tree.structure({"carry": variables["carry"]})
        alone = jax.jit(model.apply)
        read = alone({**params, **state}, INPUTS[:, 4:])  # reads, where it must not write
        np.testing.assert_array_equal(read, second)
        assert np.abs(alone(params, INPUTS[:, 4:]) - second).max() > 1e-4
        with pytest.raises(ValueError, match="has 3 sequences, but the minibatch has 2"):
            model.apply({**params, **state}, INPUTS[:2, 4:])

        @jax.jit
        @jax.grad
        def slope(scale):  # no gradient from the first window
            _, state = model.apply(jax.tree.map(lambda leaf: scale * leaf, params), INPUTS[:, :4], mutable=["carry"])
            return model.apply({**params, **state}, INPUTS[:, 4:]).sum()

        assert slope(1.0) == 0


def test_the_state_keeps_its_dtype_where_parameters_are_narrowed():
    model = WordLanguageModel(7, 5)
    variables = jax.eval_shape(model.init, jax.random.key(0), INPUTS)
    narrow = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), variables["params"])
    apply = lambda v: model.apply(v, INPUTS, mutable=["carry"])  # noqa: E731
    logits, state = jax.eval_shape(apply, {**variables, "params": narrow})
    assert logits.dtype == jnp.bfloat16
    assert state["carry"] == variables["carry"]


def test_separate_sequences_keep_no_state():
    model = CharacterLanguageModel(7, 5, depth=2)
    variables = jax.eval_shape(model.init, jax.random.key(0), INPUTS)
    assert set(variables) == {"params"}
    assert not jax.eval_shape(lambda v: model.apply(v, INPUTS, mutable=["carry"]), variables)[1]


def test_padding_never_changes_a_loss():
    model = LanguageModel(7, 5)
    with jax.enable_x64(True):
        params = random_variables(model, INPUTS)
        longer = np.pad(INPUTS, ((0, 0), (0, 5)), constant_values=3)
        targets = np.pad(TARGETS, ((0, 0), (0, 5)), constant_values=-1)
        loss = jax.jit(lambda x, y: lc.models.token_cross_entropy(model.apply(params, x), y))
        short, long = loss(INPUTS, TARGETS), loss(longer, targets)
    np.testing.assert_allclose(long, short, rtol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        LanguageModel(7, 6, layers=1, tied=True),
        pytest.param(LanguageModel(7, 6, layers=1, depth=2), marks=pytest.mark.slow),
    ],
    ids=["LSTM", "RHN"],
)
def test_models_under_vmap_equal_one_by_one(model):
    one = random_variables(model, INPUTS, np.float32)
    params = jax.tree.map(lambda leaf: np.stack([leaf, 0.5 * leaf, -leaf]), one)

    def loss(params):
        return lc.models.token_cross_entropy(model.apply(params, INPUTS), TARGETS).mean()

    together = jax.jit(jax.vmap(jax.value_and_grad(loss)))(params)
    run = jax.jit(jax.value_and_grad(loss))
    for i in range(3):
        alone = run(jax.tree.map(lambda leaf, i=i: leaf[i], params))
        for some, expected in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(some[i], expected, atol=1e-5)


def test_gradient_matches_differences():
    model = LanguageModel(7, 3, layers=1, depth=2, tied=True)
    with jax.enable_x64(True):
        params = random_variables(model, INPUTS)
        loss = jax.jit(lambda p: lc.models.token_cross_entropy(model.apply(p, INPUTS), TARGETS).sum())
        direction = jax.tree.map(lambda leaf: np.random.default_rng(leaf.size).normal(size=leaf.shape), params)
        slope = sum(
            jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), jax.jit(jax.grad(loss))(params), direction))
        )
        moved = [loss(jax.tree.map(lambda p, d, s=s: p + s * d, params, direction)) for s in (1e-5, -1e-5)]
    assert float(slope) == pytest.approx(float(moved[0] - moved[1]) / 2e-5, rel=1e-7)


@pytest.mark.slow
def test_dropout_acts_in_training_only():
    """Each kind of dropout separately drops its fraction of words, inputs, states or outputs, and units."""
    plain = LanguageModel(7, 40, layers=1, depth=2)
    params = random_variables(plain, INPUTS, np.float32)
    words = np.array([[2, 0, 0, 5, 0, 2]], np.int32)
    expected = jax.jit(lambda p: plain.apply(p, words, method="features"))(params)

    def dropping(options):
        model = LanguageModel(7, 40, layers=1, depth=2, **options)
        tested = jax.jit(lambda p: model.apply(p, words, method="features"))(params)
        np.testing.assert_allclose(tested, expected, atol=1e-6)
        run = jax.vmap(lambda key: model.apply(params, words, train=True, rngs={"dropout": key}, method="features"))
        return np.asarray(jax.jit(run)(jax.random.split(jax.random.key(1), 12)))[:, 0]

    assert np.abs(dropping({"dropout": 0.5}) - expected).max() > 1e-3
    leaving = dropping({"variational": (0.0, 0.0, 0.0, 0.5)}) == 0
    assert (leaving == leaving[:, :1]).all()  # one mask for all steps
    assert 0.4 < leaving.mean() < 0.6
    inside = dropping({"variational": (0.0, 0.5, 0.5, 0.0)})
    assert all(np.abs(one - expected).max() > 1e-3 for one in inside)
    first = dropping({"variational": (0.5, 0.0, 0.0, 0.0)})[:, 0]  # a word is either dropped or doubled
    silent, twice = (
        jax.tree.map_with_path(lambda path, leaf, s=s: s * leaf if "embedding" in str(path) else leaf, params)
        for s in (0, 2)
    )
    without, doubled = (plain.apply(p, words, method="features")[0, 0] for p in (silent, twice))
    away = np.abs(first - without).max(axis=1) < 1e-6
    assert 0 < away.sum() < 12
    np.testing.assert_allclose(first[~away], np.tile(doubled, ((~away).sum(), 1)), atol=1e-6)


def test_bad_inputs_are_refused():
    model = LanguageModel(7, 4)
    with pytest.raises(ValueError, match=r"integer tokens \(b, t\), got float32 of \(3, 8\)"):
        model.init(jax.random.key(0), np.float32(INPUTS))
    with pytest.raises(ValueError, match=r"got int32 of \(8,\)"):
        model.init(jax.random.key(0), INPUTS[0])
    with pytest.raises(ValueError, match="at least one recurrent layer, got layers=0"):
        LanguageModel(7, 4, layers=0).init(jax.random.key(0), INPUTS)
