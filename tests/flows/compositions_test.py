"""Every transformer in couplings and autoregressive layers, by our conditioner and a user's, over two bases."""

import copy
import itertools
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry

nvt = nvp.transformers
tfd = tfp.distributions

_SIZE = 3
_TRANSFORMERS = {
    "affine": "affine",
    "shift": nvt.Shift,
    "spline": "spline(bins=3)",
    "sigmoidal": lambda: nvt.Sigmoidal(2),
    "compose": lambda: nvt.Compose(nvt.Sigmoidal(2), nvt.Affine()),
}


class Attention(keras.layers.Layer):
    """Entries that attend to one another, or to those before them."""

    def __init__(self, size: int, outputs: int, is_causal: bool, **kwargs):
        super().__init__(**kwargs)
        self.size, self.is_causal = size, is_causal
        self.embed = keras.layers.Dense(4, activation="tanh", dtype=self.dtype_policy)
        self.attend = keras.layers.MultiHeadAttention(1, 4, dtype=self.dtype_policy)
        # With causal attention, the same numbers for each entry; otherwise all from all.
        self.out = keras.layers.Dense(outputs // size if is_causal else outputs, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.embed.build((None, self.size, 1 + self.size))
        self.attend.build((None, self.size, 4), (None, self.size, 4))
        self.out.build((None, self.size, 4) if self.is_causal else (None, 4 * self.size))

    def call(self, inputs):
        # What stands before the first entry is 0.
        entries = tf.pad(inputs[:, :-1], [[0, 0], [1, 0]]) if self.is_causal else inputs
        positions = tf.tile(tf.eye(self.size, dtype=inputs.dtype)[tf.newaxis], [tf.shape(inputs)[0], 1, 1])
        hidden = self.embed(tf.concat([entries[..., tf.newaxis], positions], -1))
        hidden += self.attend(hidden, hidden, use_causal_mask=self.is_causal)
        if not self.is_causal:
            return self.out(tf.reshape(hidden, [-1, 4 * self.size]))
        # The first number of all entries, then the second, and so on.
        per_entry = tf.linalg.matrix_transpose(self.out(hidden))
        return tf.reshape(per_entry, [-1, per_entry.shape[1] * self.size])


def _attention(dtype):
    def make(mask, channels, outputs):
        is_causal = isinstance(mask, nvp.bijectors.Preceding)
        layer = Attention(mask.kept_size(channels), outputs, is_causal, dtype=dtype)
        layer.build((None, mask.kept_size(channels)))
        return layer

    return make


def _mixture(dtype):
    locs = tf.Variable(np.array([[-1.0] * _SIZE, [1.0] * _SIZE], dtype), name="locs")
    logits = tf.Variable(np.zeros(2, dtype), name="logits")
    components = tfd.MultivariateNormalDiag(locs, tf.ones([2, _SIZE], dtype))
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)


def _flow(factory, transformer, conditioner, base, dtype="float32", layers=1):
    keras.utils.set_random_seed(0)
    count = {"couplings" if factory is nvp.coupling_flow else "layers": layers}
    return factory(
        event_shape=(_SIZE,),
        transformer=_TRANSFORMERS[transformer],
        base=None if base == "normal" else _mixture(dtype),
        dtype=dtype,
        **({"hidden_units": (4,)} if conditioner == "mlp" else {"conditioner": _attention(dtype)}),
        **count,
    )


_FACTORIES = {"coupling": nvp.coupling_flow, "autoregressive": nvp.autoregressive_flow}
_ALL = [
    ("_".join(names), _FACTORIES[names[0]], *names[1:])
    for names in itertools.product(_FACTORIES, _TRANSFORMERS, ("mlp", "attention"), ("normal", "mixture"))
]


class CompositionsTest(parameterized.TestCase):
    @parameterized.named_parameters(*_ALL)
    def test_log_prob_is_that_of_the_base_and_the_jacobian(self, *setting):
        distribution = registry.randomize(_flow(*setting, dtype="float64", layers=2))
        x = tf.random.stateless_normal([4, _SIZE], (1, 0), dtype=tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = distribution.flow.forward(x)
        log_det = tf.linalg.slogdet(tape.batch_jacobian(z, x))[1]
        expected = distribution.distribution.log_prob(z) + log_det
        np.testing.assert_allclose(distribution.log_prob(x), expected, rtol=1e-8)
        np.testing.assert_allclose(distribution.flow.inverse(tf.identity(z)), x, atol=1e-8)

    @parameterized.named_parameters(*_ALL)
    def test_trains(self, *setting):
        distribution = _flow(*setting)
        events = tf.random.stateless_normal([32, _SIZE], (1, 0)) * [0.5, 1.0, 0.5] + [2.0, 0.0, -1.0]
        before = tf.reduce_mean(distribution.log_prob(events))
        model = nvp.FlowModel(distribution)
        model.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
        model.fit(events, batch_size=32, epochs=2, verbose=0)
        self.assertGreater(tf.reduce_mean(distribution.log_prob(events)), before)

    @parameterized.named_parameters(*_ALL)
    def test_comes_back_from_a_saved_model(self, *setting):
        distribution = registry.randomize(_flow(*setting))
        folder = self.enterContext(tempfile.TemporaryDirectory())
        loaded = nvp.load(nvp.publish(distribution, folder))
        events = tf.random.stateless_normal([8, _SIZE], (1, 0))
        np.testing.assert_allclose(loaded.log_prob(events), distribution.log_prob(events), rtol=1e-4, atol=1e-4)
        self.assertEqual(loaded.sample(3, seed=1).shape, [3, _SIZE])

    def test_names_are_what_they_stand_for(self):
        flow = nvp.coupling_flow(
            event_shape=(4,), transformer="sigmoidal(components=2, depth=2) + affine(form=shift_first)", couplings=1
        )
        (coupling,) = registry.parts(flow, nvp.bijectors.Coupling)
        sigmoidal, affine = coupling.transformer.transformers
        self.assertEqual((sigmoidal.components, sigmoidal.depth, affine.form), (2, 2, "shift_first"))
        normal = nvp.maf(event_shape=(2,), layers=1, base="normal")
        self.assertTrue(normal.has_default_base)

    @parameterized.parameters(
        ("affine(scale=tanh)", nvt.Affine),
        ("linear_spline(bins=4)", nvt.LinearSpline),
        ("quadratic_spline(bound=2.0)", nvt.QuadraticSpline),
        ("bernstein(degree=4)", nvt.Bernstein),
        ("sum_of_squares(polynomials=1)", nvt.SumOfSquares),
        ("unconstrained_monotonic(hidden_units=(4, 4))", nvt.UnconstrainedMonotonic),
    )
    def test_a_transformer_by_name(self, name, kind):
        flow = nvp.autoregressive_flow(event_shape=(2,), transformer=name, layers=1, hidden_units=(4,))
        (layer,) = registry.parts(flow, nvp.bijectors.Autoregressive)
        self.assertIs(type(layer.transformer), kind)
        # They start close to the identity.
        x = tf.constant([[0.5, -1.0]])
        log_prob = flow.distribution.log_prob(x)
        np.testing.assert_allclose(flow.log_prob(x), log_prob, atol=0.1)

    @parameterized.parameters(
        (dict(transformer="splin"), "expected transformer to be one of affine, shift, spline, .*, got 'splin'"),
        (dict(transformer="spline(8)"), r"expected transformer to be one of .*, got 'spline\(8\)'"),
        (dict(transformer="spline(bin=8)"), "expected options of spline among bins, bound, got bin"),
        (dict(transformer="spline(**bins)"), r"expected options of spline among bins, bound, got \*\*"),
        (dict(transformer="spline(bins=four)"), "expected bins of spline to be such as 8, got 'four'"),
        (dict(transformer="spline(bins=true)"), "expected bins of spline to be such as 8, got True"),
        (dict(transformer="spline(bins=1)"), "expected 2 to 500 bins, got 1"),
        (dict(base="gaussian"), "expected base to be one of normal, learned_normal, .*, mixture, got 'gaussian'"),
        (dict(transformer="affine", hidden_units=(2, 0)), r"expected hidden_units of 1 or more, got \(2, 0\)"),
        (dict(context_size=0), "expected a context_size of 1 or more, or None, got 0"),
        (dict(base="mixture(components=0)"), "expected at least one component, got 0"),
        (dict(base="student_t(df=0.0)"), "expected a positive df, got 0.0"),
        (dict(base="conditional_normal"), "expected a context_size for the base conditional_normal, got None"),
        (dict(base="normal + normal"), r"expected base to be one of .*, got 'normal \+ normal'"),
    )
    def test_names_of_nothing(self, given, message):
        for factory in (nvp.coupling_flow, nvp.autoregressive_flow):
            with self.assertRaisesRegex(ValueError, message):
                factory(event_shape=(2,), **given)

    def test_flows_of_nothing(self):
        with self.assertRaisesRegex(TypeError, r"expected hidden_units to be a size for each layer, .*, got 64"):
            nvp.maf(event_shape=(2,), hidden_units=64)
        with self.assertRaisesRegex(ValueError, "expected 1 coupling or more, got 0"):
            nvp.coupling_flow(event_shape=(2,), couplings=0)
        with self.assertRaisesRegex(ValueError, "expected 1 step or more, got 0"):
            nvp.glow(event_shape=(4, 4, 1), steps=0)

    def test_a_transformer_itself(self):
        with self.assertRaisesRegex(
            TypeError, "expected the name of a transformer or a callable that returns one, got"
        ):
            nvp.coupling_flow(event_shape=(2,), transformer=nvt.Affine())

    @parameterized.parameters("student_t(df=3.0)", "mixture(components=2)")
    def test_bases_by_name_learn_and_are_saved(self, base):
        vectors = nvp.maf(event_shape=(2,), base=base, layers=1, hidden_units=(2,))
        small = dict(scales=1, steps=1, width=2, blocks=0, levels=16)
        for flow in (vectors, nvp.glow(event_shape=(4, 4, 1), base=base, **small)):
            learned = flow.distribution.trainable_variables
            trained = {id(variable) for variable in flow.trainable_variables}
            self.assertNotEmpty(learned)
            self.assertTrue(all(id(variable) in trained for variable in learned))
            x = flow.sample(3, seed=1)
            copied = copy.deepcopy(flow)
            np.testing.assert_array_equal(copied.log_prob(x), flow.log_prob(x))
            self.assertEmpty({id(v) for v in copied.variables} & {id(v) for v in flow.variables})
            self.assertIs(copy.copy(flow).distribution, flow.distribution)
            loaded = nvp.load(nvp.publish(flow, f"{self.enterContext(tempfile.TemporaryDirectory())}/flow"))
            np.testing.assert_allclose(loaded.log_prob(x), flow.log_prob(x), rtol=1e-4, atol=1e-3)

    @parameterized.parameters("vector", "image")
    def test_a_conditional_normal_base_is_one_normal_for_each_class(self, kind):
        options = dict(base="conditional_normal", context_size=3)
        if kind == "vector":
            flow = nvp.maf(event_shape=(2,), layers=1, hidden_units=(2,), **options)
        else:
            small = dict(scales=2, width=2, blocks=0, levels=16)
            flow = nvp.real_nvp(event_shape=(4, 4, 1), **small, **options)
        registry.randomize(flow)
        *_, last = flow.flow.bijectors
        label = tf.one_hot([2, 0, 1, 2], 3)
        x = flow.sample(4, seed=1, context=label)
        # The same flow up to its base, and each class's normal by TFP.
        before = nvp.bijectors.Chain(flow.flow.bijectors[:-1])
        z, log_det = before.forward_and_log_det(x, label)
        shift, raw = np.moveaxis(tf.reshape(last.conditioner(tf.zeros([4, 0]), label), [4, -1, 2, x.shape[-1]]), 2, 0)
        scale = np.exp(last.transformer.gain.value * np.tanh(raw))
        normal = tfp.distributions.Normal(-shift / scale, 1 / scale)
        expected = tf.reduce_sum(normal.log_prob(tf.reshape(z, shift.shape)), [1, 2]) + log_det
        np.testing.assert_allclose(flow.log_prob(x, context=label), expected, rtol=1e-4, atol=1e-3)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        loaded = nvp.load(nvp.publish(flow, f"{folder}/flow", context_size=3))
        np.testing.assert_allclose(
            loaded.log_prob(x, context=label), flow.log_prob(x, context=label), rtol=1e-4, atol=1e-3
        )
        with self.assertRaisesRegex(ValueError, "expected a context"):
            flow.log_prob(x)

    def test_a_learned_normal_base_finds_the_mean_and_scale_of_data(self):
        data = 1 + 0.5 * tf.random.stateless_normal([256, 2], (1, 0))
        flow = nvp.multiscale(
            event_shape=(1, 1, 2), layers=lambda *unused: [], scales=1, levels=None, base="learned_normal"
        )
        model = nvp.FlowModel(flow, l2=0)
        model.compile(keras.optimizers.Adam(0.1))
        model.fit(tf.reshape(data, [-1, 1, 1, 2]), epochs=120, batch_size=256, verbose=0)
        sample = tf.reshape(flow.sample(4_000, seed=1), [-1, 2])
        np.testing.assert_allclose(tf.reduce_mean(sample, 0), [1, 1], atol=0.1)
        np.testing.assert_allclose(tf.math.reduce_std(sample, 0), [0.5, 0.5], atol=0.06)

    def test_a_name_that_tensorflow_cannot_save_is_refused(self):
        layer = keras.layers.Dense(2, name="_hidden")
        layer.build((None, 1))
        coupling = nvp.bijectors.Coupling(nvt.Affine(), layer, nvp.bijectors.Halves("first"))
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(ValueError, "got _hidden/kernel"):
            nvp.save(nvp.FlowDistribution(coupling, [2]), f"{folder}/1")


if __name__ == "__main__":
    absltest.main()
