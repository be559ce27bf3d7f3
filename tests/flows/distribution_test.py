import copy
import functools
import os
import pickle
import tempfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry

tfb, tfd = tfp.bijectors, tfp.distributions

_FLOWS = [(entry.name, entry) for entry in registry.FLOWS]
_CONTEXTUAL = [(entry.name, entry) for entry in registry.FLOWS if entry.context_size is not None]
_IMAGE = registry.BY_NAME["real_nvp_two_scales"]
_PAIR = registry.BY_NAME["real_nvp_pair"]


def _distribution(name, dtype="float32"):
    """The distribution of the entry `name`, of the flow that is built once for all tests."""
    entry, flow = registry.BY_NAME[name], registry.built(name, dtype)
    return nvp.FlowDistribution(flow, entry.event_shape, dtype=dtype)


def _given(entry, batch_shape, dtype="float32"):
    return {} if entry.context_size is None else {"context": entry.context(batch_shape, dtype)}


class FlowDistributionTest(parameterized.TestCase):
    @parameterized.named_parameters(_FLOWS)
    def test_is_the_plain_transformed_distribution(self, entry):
        distribution = _distribution(entry.name)
        base = tfd.Sample(tfd.Normal(0.0, 1.0), distribution.flow.forward_event_shape(entry.event_shape))
        plain = tfd.TransformedDistribution(base, tfb.Invert(distribution.flow))
        self.assertIsInstance(distribution, type(plain))
        x, given = entry.events([3]), _given(entry, [3])
        expected = plain.log_prob(tf.identity(x), bijector_kwargs=given)
        np.testing.assert_allclose(distribution.log_prob(x, **given), expected, rtol=1e-5)
        np.testing.assert_allclose(distribution.unnormalized_log_prob(x, **given), expected, rtol=1e-5)
        probability = distribution.prob(x, **given)
        np.testing.assert_allclose(probability, tf.exp(distribution.log_prob(x, **given)), rtol=1e-5)
        self.assertEqual(distribution.event_shape, entry.event_shape)
        self.assertEqual(distribution.batch_shape, [])
        self.assertEqual(list(distribution.batch_shape_tensor()), [])
        self.assertEqual(distribution.dtype, tf.float32)

    @parameterized.named_parameters(_FLOWS)
    def test_one_evaluation_of_each_conditioner(self, entry):
        distribution = _distribution(entry.name)
        x, given = entry.events([2]), _given(entry, [2])
        with registry.counted_conditioners(distribution) as counts:
            for name, function in {
                "log_prob": lambda: distribution.log_prob(x, **given),
                "sample": lambda: distribution.sample(2, seed=1, **given),
                "sample_and_log_prob": lambda: distribution.experimental_sample_and_log_prob(2, seed=1, **given),
            }.items():
                with self.subTest(name):
                    counts[:] = [0] * len(counts)
                    function()
                    expected = entry.forward_evaluations if name == "log_prob" else entry.inverse_evaluations
                    of_pixels = registry.parts(distribution.flow, nvp.bijectors.DequantizedLogit)
                    if name == "sample_and_log_prob" and of_pixels:
                        expected += entry.forward_evaluations  # Of the sample as it was rounded.
                    self.assertEqual(counts, [expected] * len(counts))

    @parameterized.named_parameters(_FLOWS)
    def test_samples_have_the_density_they_are_said_to_have(self, entry):
        distribution = _distribution(entry.name, "float64")
        given = _given(entry, [3], "float64")
        x, log_prob = distribution.experimental_sample_and_log_prob(3, seed=(1, 2), **given)
        self.assertEqual((x.dtype, log_prob.dtype), (tf.float64, tf.float64))
        self.assertEqual(x.shape, [3, *entry.event_shape])
        np.testing.assert_allclose(distribution.log_prob(x, **given), log_prob, rtol=1e-6)
        np.testing.assert_array_equal(x, distribution.sample(3, seed=(1, 2), **given))

    def test_samples_at_the_edge_of_the_support_have_the_density_of_what_they_are_rounded_to(self):
        # At random weights most pixels are so near the edge that float32 rounds them to another density.
        distribution = _distribution("real_nvp_two_scales")
        x, log_prob = distribution.experimental_sample_and_log_prob(3, seed=(1, 2))
        np.testing.assert_array_equal(distribution.log_prob(x), log_prob)

    @parameterized.parameters("real_nvp_two_scales", "real_nvp_pair")
    def test_sample_shapes(self, name):
        distribution = _distribution(name)
        event_shape = list(distribution.event_shape)
        for shape, expected in (
            ([], []),
            (3, [3]),
            ([2, 3], [2, 3]),
            (tf.constant([2, 1]), [2, 1]),
        ):
            x = distribution.sample(shape, seed=1)
            self.assertEqual(x.shape, expected + event_shape)
            self.assertEqual(distribution.log_prob(x).shape, expected)
            x, log_prob = distribution.experimental_sample_and_log_prob(shape, seed=1)
            self.assertEqual(x.shape, expected + event_shape)
            self.assertEqual(log_prob.shape, expected)
        count_known_at_run_time = tf.function(lambda n: distribution.sample(n, seed=(1, 2)))
        for n in (tf.constant(2), tf.constant(5)):
            self.assertEqual(count_known_at_run_time(n).shape, [n, *event_shape])

    @parameterized.parameters((1,), ((1, 2),))
    def test_seeds(self, seed):
        distribution = _distribution("real_nvp_pair")
        tf.random.set_seed(3)
        first = distribution.sample(4, seed=seed)
        tf.random.set_seed(3)
        np.testing.assert_array_equal(distribution.sample(4, seed=seed), first)
        tf.random.set_seed(3)
        other = distribution.sample(4, seed=7 if seed == 1 else (1, 3))
        self.assertGreater(np.min(np.abs(other - first)), 0)

    @parameterized.named_parameters(_CONTEXTUAL)
    def test_context(self, entry):
        distribution = _distribution(entry.name)
        x, context = entry.events([2, 3]), entry.context([2, 3])
        log_prob = distribution.log_prob(x, context=context)
        self.assertEqual(log_prob.shape, [2, 3])
        np.testing.assert_allclose(distribution.log_prob(x[1, 2], context=context[1, 2]), log_prob[1, 2], rtol=1e-5)
        self.assertGreater(np.min(np.abs(distribution.log_prob(x, context=context + 1) - log_prob)), 1e-3)
        samples = distribution.sample([2, 3], seed=(1, 2), context=context)
        moved = distribution.sample([2, 3], seed=(1, 2), context=context + 1)
        self.assertEqual(samples.shape, x.shape)
        self.assertGreater(np.min(np.max(np.abs(samples - moved).reshape([6, -1]), 1)), 1e-3)
        # Each sample by its own context: with one's place taken by another's, it alone changes.
        swapped = distribution.sample([2, 3], seed=(1, 2), context=tf.reverse(context, [0, 1]))
        one = distribution.sample([2, 3], seed=(1, 2), context=tf.broadcast_to(context[1, 2], context.shape))
        np.testing.assert_allclose(swapped[0, 0], one[0, 0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(samples[1, 2], one[1, 2], rtol=1e-5, atol=1e-5)
        for function in (
            lambda: distribution.log_prob(x),
            lambda: distribution.prob(x),
            lambda: distribution.sample([2, 3]),
            lambda: distribution.experimental_sample_and_log_prob(2),
        ):
            with self.assertRaisesRegex(ValueError, "expected a context of size 2, got none"):
                function()

    def test_one_context_for_many(self):
        distribution = _distribution("real_nvp_vector_context")
        entry = registry.BY_NAME["real_nvp_vector_context"]
        size = entry.event_shape[0]
        x, contexts = entry.events([4, 5]), entry.context([4, 5])
        for shape in ([], [1], [5], [4, 1], [1, 5]):
            context = entry.context(shape)
            each = tf.broadcast_to(context, contexts.shape)
            np.testing.assert_allclose(
                distribution.log_prob(x, context=context), distribution.log_prob(x, context=each), rtol=1e-6
            )
            np.testing.assert_allclose(
                distribution.sample([4, 5], seed=(1, 2), context=context),
                distribution.sample([4, 5], seed=(1, 2), context=each),
                rtol=1e-5,
            )
        # Many contexts for one event.
        one = tf.broadcast_to(x[0, 0], x.shape)
        expected = distribution.log_prob(one, context=contexts)
        np.testing.assert_allclose(distribution.log_prob(x[0, 0], context=contexts), expected, rtol=1e-5)
        unknown = [tf.TensorSpec([None, size]), tf.TensorSpec([None])]
        log_prob = tf.function(lambda x, c: distribution.log_prob(x, context=c), input_signature=unknown)
        np.testing.assert_allclose(log_prob(one[0], contexts[0, 0]), [expected[0, 0]] * 5, rtol=1e-5)
        with self.assertRaisesRegex(ValueError, r"got events of shape \(4, 5, .*\) and a context of shape \(4, 2\)"):
            distribution.log_prob(x, context=entry.context([4]))
        for sample_shape in ((), 1):
            with self.assertRaisesRegex(ValueError, r"batch axes broadcast to the sample shape .*, got shape \(3, 2\)"):
                distribution.sample(sample_shape, context=entry.context([3]))

    def test_a_seed_of_numpy(self):
        distribution = _distribution("real_nvp_pair")
        self.assertEqual(distribution.sample(3, seed=np.int64(5)).shape[0], 3)

    def test_sample_shapes_that_are_none(self):
        distribution = _distribution("real_nvp_pair")
        for shape in (-1, 2.5, [2, -3], None, "a", tf.constant(-2), tf.constant(2.0)):
            with self.assertRaisesRegex(ValueError, "expected a sample shape of integers of 0 or more, got"):
                distribution.sample(shape)
            with self.assertRaisesRegex(ValueError, "expected a sample shape of integers of 0 or more, got"):
                distribution.experimental_sample_and_log_prob(shape)
        # Some sizes known when the graph runs.
        sample = tf.function(lambda x: distribution.sample([tf.shape(x)[0], 2]))
        self.assertEqual(sample(tf.zeros([3])).shape[:2], [3, 2])

    @parameterized.parameters("real_nvp_one_scale", "real_nvp_vector_context")
    def test_copies_have_weights_of_their_own(self, name):
        entry = registry.BY_NAME[name]
        distribution = registry.randomize(entry.make("float32", "float32"))
        x, given = entry.events([2]), _given(entry, [2])
        expected = distribution.log_prob(x, **given).numpy()
        for copied in (copy.deepcopy(distribution), pickle.loads(pickle.dumps(distribution))):
            np.testing.assert_array_equal(copied.log_prob(x, **given), expected)
            self.assertLen(copied.variables, len(distribution.variables))
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(copied.log_prob(x, **given))
            self.assertNotIn(None, tape.gradient(loss, copied.trainable_variables))
            registry.randomize(copied, seed=1)
            self.assertFalse(np.allclose(copied.log_prob(x, **given), expected, rtol=1e-2))
            np.testing.assert_array_equal(distribution.log_prob(x, **given), expected)
        for same in (copy.copy(distribution), distribution.copy()):
            self.assertIs(same.flow, distribution.flow)

    def test_copies_of_a_bijector_and_of_a_dequantizer(self):
        layer = _PAIR.build().flow.bijectors[1]
        copied = copy.deepcopy(layer)
        self.assertEmpty({id(v) for v in copied.variables} & {id(v) for v in layer.variables})
        self.assertLen(copied.conditioner.variables, len(layer.conditioner.variables))
        self.assertIs(copied.conditioner.variables[0].value, copied.variables[0])
        noise = nvp.dequantizer(event_shape=(2, 2, 1), levels=17, couplings=1, width=2, blocks=0)
        self.assertEqual(noise.copy().levels, 17)
        for copied in (copy.deepcopy, pickle.dumps):
            with self.assertRaisesRegex(TypeError, "dequantizer: expected bijectors that can be copied, got .* probit"):
                copied(noise)

    def test_only_a_name_that_was_given_is_a_variable_of_a_joint_distribution(self):
        def flows(**settings):
            return [nvp.planar(event_shape=2, layers=1, **settings) for _ in range(2)]

        self.assertEqual([flow.name for flow in flows()], ["planar", "planar"])
        joint = tfd.JointDistributionSequential(flows())
        self.assertEqual([name for name, _ in joint.resolve_graph()], ["x1", "x"])
        named = [factory(event_shape=2, layers=1, name=factory.__name__) for factory in (nvp.planar, nvp.radial)]
        named = tfd.JointDistributionSequential(named)
        self.assertEqual([name for name, _ in named.resolve_graph()], ["planar", "radial"])
        standardized = nvp.standardized(flows(name="mine")[0], [0.0, 0.0], [1.0, 1.0])
        self.assertEqual((standardized.name, standardized.parameters["name"]), ("mine", "mine"))
        self.assertIsNone(nvp.standardized(flows()[0], [0.0, 0.0], [1.0, 1.0]).parameters["name"])

    def test_what_is_no_flow_is_refused(self):
        chain = tfb.Chain([tfb.Scale(2.0)])
        with self.assertRaisesRegex(TypeError, "expected a tfp_realnvp bijector from data to latent, got .* Chain"):
            nvp.FlowDistribution(chain, [2])
        theirs = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 2), chain)
        for given in (chain, theirs):
            for function in (
                nvp.summary,
                nvp.trainable_parameters,
                lambda given: nvp.standardized(given, [0.0, 0.0], [1.0, 1.0]),
                lambda given: nvp.save(given, "nowhere"),
                lambda given: nvp.publish(given, "nowhere"),
            ):
                message = f"expected a FlowDistribution, .* got .* {type(given).__name__}"
                with self.assertRaisesRegex(TypeError, message):
                    function(given)
        self.assertFalse(os.path.exists("nowhere"))

    @parameterized.parameters(
        (None, "Python objects"), ([[1.0, None]], "Python objects"), ("ab", "string"), (1j, "complex")
    )
    def test_what_holds_no_numbers_is_refused(self, value, named):
        with self.assertRaisesRegex(TypeError, f"expected float32 events, got {named}"):
            _distribution("real_nvp_pair").log_prob(value)

    def test_a_symbolic_tensor_is_refused(self):
        message = "expected events, got the symbolic <KerasTensor .*: call log_prob within"
        with self.assertRaisesRegex(TypeError, message):
            _distribution("real_nvp_pair").log_prob(keras.Input([2]))

    def test_a_flow_on_parts_of_an_event(self):
        # Elementwise, and so with a log-det for each entry.
        flow = nvp.bijectors.DequantizedLogit()
        distribution = nvp.FlowDistribution(flow, [2, 3])
        base = tfd.Sample(tfd.Normal(0.0, 1.0), [2, 3])
        x, log_prob = distribution.experimental_sample_and_log_prob(4, seed=(1, 2))
        self.assertEqual(log_prob.shape, [4])
        np.testing.assert_allclose(distribution.log_prob(x), log_prob, rtol=1e-5)
        plain = tfd.TransformedDistribution(base, tfb.Invert(flow))
        np.testing.assert_allclose(log_prob, plain.log_prob(x), rtol=1e-5)

    def test_unknown_keywords_are_refused(self):
        distribution = _distribution("real_nvp_pair")
        x = tf.zeros([1, 2])
        for function in (
            lambda **kwargs: distribution.log_prob(x, **kwargs),
            lambda **kwargs: distribution.prob(x, **kwargs),
            lambda **kwargs: distribution.unnormalized_log_prob(x, **kwargs),
            lambda **kwargs: distribution.sample(2, **kwargs),
            lambda **kwargs: distribution.experimental_sample_and_log_prob(2, **kwargs),
        ):
            for name in ("contexts", "bijector_kwargs"):
                with self.assertRaisesRegex(TypeError, name):
                    function(**{name: {}})
            with self.assertRaisesRegex(ValueError, "expected no context, got shape"):
                function(context=tf.zeros([2, 1]))

    @parameterized.parameters("bnaf", "planar", "radial", "sylvester", "gaussianization", "triangular_spline")
    def test_a_context_that_no_layer_reads_is_refused(self, name):
        distribution = getattr(nvp, name)(event_shape=(2,), layers=1)
        for function in (functools.partial(distribution.log_prob, tf.zeros([3, 2])), distribution.sample):
            with self.assertRaisesRegex(ValueError, r"expected no context, got shape \(3, 1\)"):
                function(context=tf.zeros([3, 1]))

    @parameterized.parameters("uint8", "int32", "int64", "bool")
    def test_what_is_no_float_is_refused(self, dtype):
        distribution = _distribution("real_nvp_two_scales")
        images = np.ones([2, 4, 4, 2], dtype)
        for value in (images, tf.constant(images), images.tolist() if dtype == "int64" else images):
            for function in (distribution.log_prob, distribution.prob):
                message = f"expected float32 events, got {dtype}: .* see tfp_realnvp.dequantize"
                with self.assertRaisesRegex(TypeError, message):
                    function(value)

    def test_what_is_taken(self):
        distribution = _distribution("real_nvp_pair")
        x = np.array([[0.5, -1.0]], np.float32)
        expected = distribution.log_prob(tf.constant(x))
        for value in (x, x.tolist(), x.astype(np.float64), tf.Variable(x), keras.Variable(x)):
            np.testing.assert_array_equal(distribution.log_prob(value), expected)

    @parameterized.parameters("float64", "float16")
    def test_a_tensor_of_another_dtype_is_refused(self, dtype):
        with self.assertRaisesRegex(TypeError, f"expected float32 events, got {dtype}"):
            _distribution("real_nvp_pair").log_prob(tf.zeros([1, 2], dtype))

    @parameterized.parameters([[3, 4, 2]], [[4, 4, 3]], [[4, 2]], [[5, 4, 4]], [[]])
    def test_other_shapes_are_refused(self, shape):
        with self.assertRaisesRegex(ValueError, r"expected events of shape \(4, 4, 2\), got shape"):
            _distribution("real_nvp_two_scales").log_prob(tf.zeros(shape))

    @parameterized.parameters(("real_nvp_no_skips", np.nan), ("real_nvp_one_scale", np.inf), ("real_nvp_pair", -np.inf))
    def test_what_is_not_finite_has_no_density(self, name, bad):
        distribution = _distribution(name)
        x = registry.BY_NAME[name].events([3]).numpy()
        expected = distribution.log_prob(x).numpy()
        x[1, ..., 0] = bad
        expected[1] = -np.inf
        with tf.GradientTape() as tape:
            log_prob = distribution.log_prob(x)
            loss = tf.reduce_sum(tf.where(tf.math.is_finite(log_prob), log_prob, 0.0))
        np.testing.assert_allclose(log_prob, expected, rtol=1e-5)
        self.assertEqual(distribution.prob(x)[1], 0)
        for gradient in tape.gradient(loss, distribution.trainable_variables):
            self.assertTrue(np.all(np.isfinite(gradient)))

    # Of every kind one, on the whole real line.
    @parameterized.named_parameters(
        {entry.factory: (entry.name, entry) for entry in registry.FLOWS if entry.levels is None}.values()
    )
    def test_large_events_have_a_density_or_none(self, entry):
        distribution = _distribution(entry.name)
        sizes = np.array([1, 1e3, 1e10, 1e30, 3e38])
        x = np.stack([np.resize([size, -size], entry.event_shape) for size in sizes]).astype(np.float32)
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = distribution.log_prob(x, **_given(entry, [len(sizes)]))
        self.assertTrue(np.isfinite(log_prob[0]))
        self.assertEqual(log_prob[-1], -np.inf)
        self.assertTrue(np.all(np.asarray(log_prob) < np.inf))
        gradients = tape.gradient(log_prob, [x, *distribution.trainable_variables])
        np.testing.assert_array_equal(gradients[0][-1], np.zeros(entry.event_shape))
        for gradient, variable in zip(gradients, ["events", *distribution.trainable_variables], strict=True):
            self.assertTrue(np.all(np.isfinite(gradient)), variable)

    @parameterized.named_parameters(("eager", lambda function: function), ("graph", tf.function))
    def test_outside_the_support_of_a_bijector_of_tfp_there_is_no_density(self, wrap):
        coupling = registry.built("coupling_alternating_0")
        flow = nvp.bijectors.Chain([tfb.Invert(tfb.Softplus()), coupling])
        distribution = nvp.FlowDistribution(flow, [5])
        x = tf.constant([[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, -2.0, 3.0, 4.0, 5.0]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = wrap(distribution.log_prob)(x)
        np.testing.assert_array_equal(np.isfinite(log_prob), [True, False])
        self.assertEqual(log_prob[1], -np.inf)
        for gradient in tape.gradient(log_prob, [x, *distribution.trainable_variables]):
            self.assertTrue(np.all(np.isfinite(gradient)))

    def test_outside_the_support_there_is_no_density(self):
        distribution = _distribution("real_nvp_two_scales")
        x = _IMAGE.events([3]).numpy()
        x[1, 2, 3, 0] = 271.0
        x[2, 2, 3, 0] = -1.0  # Below the pixels and inside the support.
        np.testing.assert_array_equal(np.isfinite(distribution.log_prob(x)), [True, False, True])

    @parameterized.parameters(np.nan, np.inf)
    def test_validate_args_refuses_what_is_not_finite(self, bad):
        distribution = _distribution("real_nvp_pair").copy(validate_args=True)
        self.assertTrue(np.isfinite(distribution.log_prob([0.0, 1.0])))
        for function in (distribution.log_prob, tf.function(distribution.log_prob)):
            with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "expected finite events"):
                function(tf.constant([[0.0, bad]]))

    def test_validate_args_refuses_pixels_outside_the_support(self):
        distribution = nvp.real_nvp(event_shape=(2, 2, 1), width=2, blocks=0, validate_args=True)
        self.assertTrue(np.isfinite(distribution.log_prob(tf.fill([2, 2, 1], 255.9))))
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "expected pixels in"):
            distribution.log_prob(tf.fill([2, 2, 1], 300.0))

    def test_new_weights_count_at_once(self):
        distribution = _PAIR.build()
        gain = registry.parts(distribution, nvp.bijectors.Coupling)[0].transformer.gain
        x = distribution.sample(3, seed=1)
        for events in (x, tf.constant([[0.5, -1.0]]), tf.Variable([[0.5, -1.0]])):
            results = []
            for value in (0.3, 0.9):
                gain.assign(value)
                with tf.GradientTape() as tape:
                    log_prob = distribution.log_prob(events)
                gradients = tape.gradient(log_prob, distribution.trainable_variables)
                self.assertTrue(all(g is not None for g in gradients))
                results.append((log_prob, distribution.bijector.forward(tf.zeros([1, 2]))))
            self.assertGreater(np.min(np.abs(results[0][0] - results[1][0])), 1e-4)
        # Samples, too: of the same latents.
        samples = []
        for value in (0.3, 0.9):
            gain.assign(value)
            samples.append(distribution.sample(3, seed=(1, 2)))
        self.assertGreater(np.max(np.abs(samples[0] - samples[1])), 1e-2)

    def test_modules_and_checkpoints_see_the_variables(self):
        distribution, fresh = (registry.randomize(_PAIR.make("float32", "float32"), s) for s in (0, 1))
        module = tf.Module()
        module.distribution = distribution
        seen = {id(v) for v in distribution.trainable_variables}
        self.assertNotEmpty(seen)
        self.assertEqual({id(v) for v in module.trainable_variables}, seen)
        self.assertEqual({id(v) for v in distribution.flow.trainable_variables}, seen)
        x = _PAIR.events([2])
        self.assertGreater(np.max(np.abs(fresh.log_prob(x) - distribution.log_prob(x))), 1e-2)
        with tempfile.TemporaryDirectory() as directory:
            path = tf.train.Checkpoint(module=module).write(os.path.join(directory, "checkpoint"))
            # Each variable once, however many ways lead to it.
            saved = [name for name, _ in tf.train.list_variables(path) if "VARIABLE_VALUE" in name]
            self.assertLen(saved, len(distribution.variables))
            other = tf.Module()
            other.distribution = fresh
            tf.train.Checkpoint(module=other).read(path).assert_consumed()
        np.testing.assert_array_equal(fresh.log_prob(x), distribution.log_prob(x))

    @parameterized.parameters(False, True)
    def test_in_a_function_of_any_batch(self, jit_compile):
        distribution = _distribution("real_nvp_vector")
        x = registry.BY_NAME["real_nvp_vector"].events([4])
        signature = [tf.TensorSpec([4 if jit_compile else None, 6])]
        log_prob = tf.function(distribution.log_prob, input_signature=signature, jit_compile=jit_compile)
        np.testing.assert_allclose(log_prob(x), distribution.log_prob(x), rtol=1e-5)

    def test_training_moves_batch_norm_once(self):
        class Model(keras.Model):
            def call(self, inputs):
                return distribution.log_prob(inputs)

        distribution = nvp.real_nvp(event_shape=[2], couplings=1, hidden_units=(3,), norm="batch")
        (norm,) = registry.parts(distribution, nvp.bijectors.BatchNorm)
        x = 1 + tf.random.stateless_normal([8, 2], (1, 0))
        distribution.log_prob(x)
        np.testing.assert_array_equal(norm.moving_mean, [0.0])
        Model()(x, training=True)
        # At initialisation the coupling is the identity; it changes the second entry.
        np.testing.assert_allclose(norm.moving_mean, [0.1 * np.mean(x[:, 1])], rtol=1e-5)

    def test_is_a_part_of_other_distributions(self):
        distribution = _distribution("real_nvp_pair")
        x = distribution.sample([3, 4], seed=(1, 2))
        log_prob = distribution.log_prob(x)
        each = tfd.Sample(distribution, 4)
        np.testing.assert_allclose(each.log_prob(x), tf.reduce_sum(log_prob, 1), rtol=1e-5)
        np.testing.assert_allclose(tfd.Independent(distribution, 0).log_prob(x), log_prob, rtol=1e-6)
        joint = tfd.JointDistributionNamed(dict(a=distribution, b=lambda a: tfd.Independent(tfd.Normal(a, 1.0), 1)))
        draw = joint.sample(4, seed=(1, 2))
        expected = distribution.log_prob(draw["a"]) + tf.reduce_sum(tfd.Normal(draw["a"], 1.0).log_prob(draw["b"]), -1)
        np.testing.assert_allclose(joint.log_prob(draw), expected, rtol=1e-5)

    def test_variational_inference(self):
        target = tfd.MultivariateNormalDiag([1.0, -1.0], [2.0, 0.5])
        surrogate = nvp.real_nvp(event_shape=[2], couplings=4, hidden_units=(8,))
        losses = tfp.vi.fit_surrogate_posterior(
            target.log_prob,
            surrogate,
            keras.optimizers.Adam(2e-2),
            100,
            sample_size=64,
            seed=(1, 2),
        )
        self.assertLess(np.mean(losses[-10:]), 0.3 * np.mean(losses[:3]))

    def test_other_flows_are_no_reason_for_a_kl_of_zero(self):
        # TFP gives the bases' divergence when the bijectors are equal.
        flows = [nvp.bijectors.BatchNorm(2) for _ in range(2)]
        first, second = (nvp.FlowDistribution(flow, [2]) for flow in flows)
        with self.assertRaises(NotImplementedError):
            tfd.kl_divergence(first, second)

    def test_repr(self):
        self.assertEqual(
            repr(_PAIR.build()),
            "<tfp.distributions.FlowDistribution 'real_nvp' batch_shape=[] event_shape=[2] dtype=float32>",
        )


if __name__ == "__main__":
    absltest.main()
