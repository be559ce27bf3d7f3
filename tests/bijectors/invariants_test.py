"""What holds for every bijector: tests over `tests/registry.py`."""

import inspect
import os
import tempfile
import typing

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import flows

tfb, tfd = tfp.bijectors, tfp.distributions
nvb = nvp.bijectors


def _named(entries):
    return [(entry.name, entry) for entry in entries]


def _layers(layer):
    """A Keras layer and those within it."""
    return [layer, *(within for child in layer._layers for within in _layers(child))]


def _has_layers(bijector):
    conditioners = [getattr(part, "conditioner", None) for part in registry.parts(bijector, nvb.Bijector)]
    return any(isinstance(conditioner, keras.layers.Layer) for conditioner in conditioners)


_WHOLE_FLOWS = [
    registry.BY_NAME["real_nvp_two_scales"],
    registry.BY_NAME["real_nvp_vector_context"],
]
_LEARNED = [entry for entry in registry.ENTRIES if entry.has_variables]
_WITH_NETWORKS = [entry for entry in registry.ENTRIES if entry.has_networks]


def _traced(function):
    """`function`, and a list with an entry for each time that it was called."""
    calls = []

    def called(*args):
        calls.append(1)
        return function(*args)

    return called, calls


def _jacobian(function, x, **kwargs):
    """The Jacobian of `function` at `x`, a batch of one: tiled, each example gives one row."""
    size = tf.size(x)
    tiled = tf.repeat(x, size, axis=0)
    kwargs = {name: None if c is None else tf.repeat(c, size, axis=0) for name, c in kwargs.items()}
    with tf.GradientTape() as tape:
        tape.watch(tiled)
        y = tf.reshape(function(tiled, **kwargs)[0], [size, size])
        diagonal = tf.reduce_sum(tf.linalg.diag_part(y))
    return tf.reshape(tape.gradient(diagonal, tiled), [size, size]).numpy()


class BijectorInvariantsTest(parameterized.TestCase):
    def assert_close(self, actual, expected, tolerance=1e-5):
        """Entries equal to within `tolerance` of the range of what is expected."""
        actual, expected = np.asarray(actual), np.asarray(expected)
        self.assertEqual(actual.shape, expected.shape)
        self.assertTrue(np.all(np.isfinite(expected)))
        scale = max(1.0, float(np.ptp(expected)), float(np.max(np.abs(expected))))
        self.assertLessEqual(float(np.max(np.abs(actual - expected))), tolerance * scale)

    def assert_all_close(self, actual, expected, tolerance=1e-5):
        for a, e in zip(actual, expected, strict=True):
            self.assert_close(a, e, tolerance)

    def assert_inverts(self, bijector, entry, tolerance=1e-5):
        x, context = entry.events([4]), entry.context([4])
        z, log_det = bijector.forward_and_log_det(x, context)
        back, inverse_log_det = bijector.inverse_and_log_det(tf.identity(z), context)
        self.assertEqual((z.dtype, log_det.dtype), (tf.float32, tf.float32))
        self.assertEqual((back.dtype, inverse_log_det.dtype), (tf.float32, tf.float32))
        self.assert_close(back, x, tolerance)
        self.assert_close(-inverse_log_det, log_det, tolerance)
        # Other latents than those of the data.
        z = entry.within_period(z + 0.1 * tf.random.stateless_normal(z.shape, (3, 0)))
        x = bijector.inverse_and_log_det(z, context)[0]
        self.assert_close(bijector.forward_and_log_det(tf.identity(x), context)[0], z, tolerance)

    @parameterized.named_parameters(_named(registry.ENTRIES))
    def test_inverse(self, entry):
        self.assert_inverts(registry.built(entry.name), entry)

    @parameterized.named_parameters(_named(registry.ENTRIES))
    def test_log_det_is_the_jacobians(self, entry):
        bijector = registry.built(entry.name, "float64")
        x, context = entry.events([1], "float64"), entry.context([1], "float64")
        z, log_det = bijector.forward_and_log_det(x, context)
        inverse_log_det = bijector.inverse_and_log_det(tf.identity(z), context)[1]
        for value, function, at in (
            (log_det, bijector.forward_and_log_det, x),
            (inverse_log_det, bijector.inverse_and_log_det, z),
        ):
            sign, expected = np.linalg.slogdet(_jacobian(function, at, context=context))
            self.assertNotEqual(sign, 0)
            self.assertEqual(value.dtype, tf.float64)
            np.testing.assert_allclose(np.sum(value), expected, rtol=1e-9, atol=1e-9)

    @parameterized.named_parameters(_named(registry.BIJECTORS))
    def test_tfp_methods_agree(self, entry):
        bijector = registry.built(entry.name)
        x, context = entry.events([3]), entry.context([3])
        z, log_det = bijector.forward_and_log_det(x, context)
        kwargs = {} if context is None else {"context": context}
        ndims = bijector.forward_min_event_ndims
        inverse = tfb.Invert(bijector)
        copies = iter(lambda: tf.identity(z), None)
        self.assert_close(bijector.forward(tf.identity(x), **kwargs), z)
        self.assert_close(inverse.inverse(tf.identity(x), **kwargs), z)
        self.assert_close(bijector.forward_log_det_jacobian(tf.identity(x), ndims, **kwargs), log_det)
        self.assert_close(inverse.inverse_log_det_jacobian(tf.identity(x), ndims, **kwargs), log_det)
        self.assert_close(bijector.inverse(next(copies), **kwargs), x)
        self.assert_close(inverse.forward(next(copies), **kwargs), x)
        self.assert_close(bijector.inverse_log_det_jacobian(next(copies), ndims, **kwargs), -log_det)
        self.assertEqual(bijector.forward_event_shape(x.shape[1:]), z.shape[1:])
        self.assertEqual(bijector.inverse_event_shape(z.shape[1:]), x.shape[1:])
        self.assertAllEqual(bijector.forward_event_shape_tensor(x.shape[1:]), z.shape[1:])
        self.assertAllEqual(bijector.inverse_event_shape_tensor(z.shape[1:]), x.shape[1:])

    def assertAllEqual(self, actual, expected):
        self.assertEqual(list(np.asarray(actual)), list(expected))

    @parameterized.named_parameters(_named(registry.BIJECTORS))
    def test_equal_settings_do_not_mix(self, entry):
        # TFP's cache is shared by all instances of a class, and asks for equality.
        x, context = entry.events([2]), entry.context([2])
        kwargs = {} if context is None else {"context": context}
        bijector, other = registry.built(entry.name), registry.randomize(entry.bijector(), seed=7)
        self.assertNotEqual(bijector, other)
        self.assertEqual(bijector, bijector)
        held = bijector.forward(x, **kwargs)  # While it lives, the cache holds it.
        self.assert_close(other.forward(x, **kwargs), other.forward_and_log_det(x, context)[0])
        self.assertEqual(held.shape.rank, x.shape.rank)

    @parameterized.named_parameters(_named(_LEARNED))
    def test_variables_are_visible(self, entry):
        bijector = registry.built(entry.name)
        held = [value for part in registry.parts(bijector, tfb.Bijector) for value in vars(part).values()]
        variables = [v for v in held if isinstance(v, (keras.Variable, tf.Variable))]
        for layer in held:
            if isinstance(layer, (keras.layers.Layer, nvp.transformers.Transformer)):
                variables += layer.variables
            elif isinstance(layer, registry.Affine):
                variables.append(layer.kernel)
            elif isinstance(layer, list):
                variables += [v for v in layer if isinstance(v, keras.Variable)]
        by_id = {id(v.value if isinstance(v, keras.Variable) else v): v.trainable for v in variables}
        trainable = {name for name, learned in by_id.items() if learned}
        self.assertEqual({id(v) for v in bijector.trainable_variables}, trainable)
        self.assertEqual({id(v) for v in bijector.variables}, set(by_id))
        self.assertLen(bijector.variables, len(by_id))

    @parameterized.named_parameters(_named(_LEARNED))
    def test_every_variable_has_a_gradient(self, entry):
        bijector = registry.built(entry.name)
        x, context = entry.events([4]), entry.context([4])
        z = bijector.forward_and_log_det(x, context)[0]
        for function, at in ((bijector.forward_and_log_det, x), (bijector.inverse_and_log_det, z)):
            with tf.GradientTape() as tape:
                y, log_det = function(at, context)
                weights = tf.random.stateless_normal(y.shape, (4, 0))
                loss = tf.reduce_sum(weights * y) + tf.reduce_sum(log_det)
            for variable, gradient in zip(
                bijector.trainable_variables,
                tape.gradient(loss, bijector.trainable_variables),
                strict=True,
            ):
                self.assertIsNotNone(gradient, variable.name)
                self.assertTrue(np.all(np.isfinite(gradient)), variable.name)
                self.assertGreater(np.max(np.abs(gradient)), 0, variable.name)

    @parameterized.named_parameters(_named(e for e in _WITH_NETWORKS if not e.factory))
    def test_one_evaluation_of_each_conditioner(self, entry):
        bijector = registry.built(entry.name)
        ndims = bijector.forward_min_event_ndims
        latent_shape = bijector.forward_event_shape(tf.TensorShape(entry.event_shape))
        plain = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), latent_shape), tfb.Invert(bijector))
        chain = tfb.Chain([tfb.Scale(2.0), bijector])
        given = {} if entry.context_size is None else {"context": entry.context([2])}
        in_distribution = {"bijector_kwargs": given}
        in_chain = {bijector.name: given} if given else {}

        def both_of_tfp(x):
            return bijector.forward(x, **given), bijector.forward_log_det_jacobian(x, ndims, **given)

        def both_of_chain(x):
            return chain.forward(x, **in_chain), chain.forward_log_det_jacobian(x, ndims, **in_chain)

        def chain_backwards(x):
            z = tf.identity(x)
            return chain.inverse(z, **in_chain), chain.inverse_log_det_jacobian(z, ndims, **in_chain)

        passes = {
            "forward_and_log_det": lambda x: bijector.forward_and_log_det(x, **given),
            "inverse_and_log_det": lambda x: bijector.inverse_and_log_det(x, **given),
            "forward": lambda x: bijector.forward(x, **given),
            "forward and its log-det": both_of_tfp,
            "tfb.Chain": both_of_chain,
            "tfb.Chain, inverse": chain_backwards,
            "log_prob": lambda x: plain.log_prob(x, **in_distribution),
            "sample": lambda x: plain.sample(2, seed=1, **in_distribution),
            "sample_and_log_prob": lambda x: plain.experimental_sample_and_log_prob(2, seed=1, **in_distribution),
        }
        of_inverse = ("inverse_and_log_det", "tfb.Chain, inverse", "sample", "sample_and_log_prob")
        with registry.counted_conditioners(bijector) as counts:
            for name, function in passes.items():
                with self.subTest(f"{name}, eager"):
                    counts[:] = [0] * len(counts)
                    kept_alive = function(entry.events([2]))
                    expected = entry.inverse_evaluations if name in of_inverse else 1
                    self.assertEqual(counts, [expected] * len(counts))
                    del kept_alive
            for name in ("forward_and_log_det", "tfb.Chain", "log_prob"):
                with self.subTest(f"{name}, tf.function"):
                    counts[:] = [0] * len(counts)
                    traced, traces = _traced(passes[name])
                    tf.function(traced).get_concrete_function(tf.TensorSpec([2, *entry.event_shape]))
                    self.assertEqual(counts, [len(traces)] * len(counts))

    @parameterized.named_parameters(_named([*registry.BIJECTORS, registry.BY_NAME["real_nvp_one_scale"]]))
    def test_eager_is_xla(self, entry):
        # Of a graph without it: test_sizes_known_only_at_run_time.
        bijector = registry.built(entry.name)
        x, context = entry.events([2]), entry.context([2])
        z, log_det = bijector.forward_and_log_det(x, context)

        def there_and_back(x, context):
            z, log_det = bijector.forward_and_log_det(x, context)
            return z, log_det, bijector.inverse_and_log_det(z, context)[0]

        compiled = tf.function(there_and_back, jit_compile=True)
        self.assert_all_close(compiled(x, context), (z, log_det, x))

    @parameterized.named_parameters(_named(registry.BIJECTORS))
    def test_batch_axes(self, entry):
        bijector = registry.built(entry.name)
        x, context = entry.events([2, 3]), entry.context([2, 3])
        z = bijector.forward_and_log_det(x, context)[0]
        for function, at in ((bijector.forward_and_log_det, x), (bijector.inverse_and_log_det, z)):
            flat = [None if t is None else tf.reshape(t, [6, *t.shape[2:]]) for t in (at, context)]
            y, log_det = function(*flat)
            two_axes = function(at, context)
            self.assert_all_close(two_axes, [tf.reshape(t, [2, 3, *t.shape[1:]]) for t in (y, log_det)])
            first = [None if t is None else t[:1] for t in flat]
            self.assert_all_close(function(*first), (y[:1], log_det[:1]))
            without = [None if t is None else t[0] for t in flat]
            self.assert_all_close(function(*without), (y[0], log_det[0]))

    @parameterized.named_parameters(_named([*registry.BIJECTORS, *_WHOLE_FLOWS]))
    def test_sizes_known_only_at_run_time(self, entry):
        bijector = registry.built(entry.name)
        is_image = len(entry.event_shape) == 3
        signature = [None, None, None, entry.event_shape[-1]] if is_image else [None, *entry.event_shape]
        arguments = [tf.TensorSpec(signature, tf.float32)]
        if entry.context_size is not None:
            arguments.append(tf.TensorSpec([None, *entry.context_axes, entry.context_size], tf.float32))

        def there_and_back(x, context=None):
            z, log_det = bijector.forward_and_log_det(x, context)
            return z, log_det, *bijector.inverse_and_log_det(tf.identity(z), context)

        traced, traces = _traced(there_and_back)
        compiled = tf.function(traced, input_signature=arguments)
        for batch in (1, 3):
            x = entry.events([batch])
            if is_image and batch == 3:
                x = tf.tile(x, [1, 2, 2, 1])  # A larger image than it was built for.
                if entry.has_one_size:
                    with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "not compatible with expected"):
                        compiled(x, *([] if entry.context_size is None else [entry.context([batch])]))
                    x = entry.events([batch])
            args = [x] if entry.context_size is None else [x, entry.context([batch])]
            self.assert_all_close(compiled(*args), there_and_back(*args))
        self.assertLen(traces, 1)

    @parameterized.named_parameters(_named(_LEARNED))
    def test_checkpoint(self, entry):
        saved = registry.built(entry.name)
        restored = registry.randomize(entry.bijector(), seed=7)
        x, context = entry.events([2]), entry.context([2])
        expected = saved.forward_and_log_det(x, context)
        before = restored.forward_and_log_det(x, context)
        self.assertGreater(np.max(np.abs(before[0] - expected[0])), 1e-2)
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "checkpoint")
            tf.train.Checkpoint(flow=saved).write(path)
            status = tf.train.Checkpoint(flow=restored).read(path)
            status.assert_consumed()
            status.assert_existing_objects_matched()
        for a, e in zip(restored.forward_and_log_det(x, context), expected, strict=True):
            np.testing.assert_array_equal(a, e)

    @parameterized.named_parameters(
        (f"{entry.name}_{policy}", entry, policy)
        for entry in [*registry.BIJECTORS, *_WHOLE_FLOWS]
        if entry.has_networks
        # A missing cast is one in either; the smaller range of float16 is that of whole flows, and of what is no affine
        # coupling.
        for policy in ("mixed_bfloat16", "mixed_float16")
        if policy == "mixed_bfloat16" or not entry.name.startswith("affine_coupling")
    )
    def test_mixed_precision_is_for_training(self, entry, policy):
        bijector, expected = entry.bijector(dtype_policy=policy), registry.built(entry.name)
        x, context = entry.events([4]), entry.context([4])
        for name in ("forward_and_log_det", "inverse_and_log_det"):
            for a, b in zip(getattr(bijector, name)(x, context), getattr(expected, name)(x, context), strict=True):
                np.testing.assert_array_equal(a, b)
        conditioners = [b.conditioner for b in registry.parts(bijector, nvb.Bijector) if hasattr(b, "conditioner")]
        compute_dtype = policy.removeprefix("mixed_")
        self.assertIn(compute_dtype, {p.compute_dtype for p in _layers(conditioners[0])})
        self.assertEqual({v.dtype for v in bijector.variables}, {tf.float32})

    @parameterized.named_parameters(_named(registry.BIJECTORS))
    def test_too_few_axes_are_refused(self, entry):
        bijector = registry.built(entry.name)
        ndims = bijector.forward_min_event_ndims
        if not ndims:
            self.assertEqual(bijector.forward_and_log_det(tf.constant(1.0))[1].shape, [])
            return
        message = f"expected a shape of at least {ndims} axes, got"
        for function in (
            bijector.forward_and_log_det,
            bijector.inverse_and_log_det,
            bijector.forward,
        ):
            with self.assertRaisesRegex(ValueError, message):
                function(tf.zeros([2] * (ndims - 1)))

    @parameterized.named_parameters(_named(e for e in registry.ENTRIES if e.context_size is not None))
    def test_context(self, entry):
        bijector = registry.built(entry.name)
        x, context = entry.events([2]), entry.context([2])
        z = bijector.forward_and_log_det(x, context)[0]
        for function, at in ((bijector.forward_and_log_det, x), (bijector.inverse_and_log_det, z)):
            given, other = function(at, context)[0], function(at, context + 1)[0]
            changed = np.reshape(np.abs(given - other), [2, -1])
            self.assertTrue(np.all(np.max(changed, 1) > 1e-3))
            with self.assertRaisesRegex(ValueError, f"expected a context of size {entry.context_size}, got none"):
                function(x)
            with self.assertRaisesRegex(ValueError, f"expected a context of size {entry.context_size}, got shape"):
                function(x, context[..., :-1])

    @parameterized.named_parameters(_named(e for e in _WITH_NETWORKS if not e.factory and e.context_size is None))
    def test_unexpected_context_is_refused(self, entry):
        bijector = registry.built(entry.name)
        for function in (bijector.forward_and_log_det, bijector.inverse_and_log_det):
            with self.assertRaisesRegex(ValueError, "expected no context, got shape"):
                function(entry.events([2]), tf.zeros([2, 1]))

    # Of the registry itself: here, where each entry is built.

    def test_every_public_bijector_is_registered(self):
        public = {getattr(nvb, name) for name in nvb.__all__}
        classes = {c for c in public if inspect.isclass(c) and issubclass(c, tfb.Bijector)}
        self.assertIn(nvb.Squeeze, classes)
        registered = {type(registry.built(entry.name)) for entry in registry.BIJECTORS}
        self.assertEqual({c for c in classes if not inspect.isabstract(c)}, registered)

    def test_every_public_flow_factory_is_registered(self):
        functions = [getattr(flows, name) for name in flows.__all__ if inspect.isfunction(getattr(flows, name))]
        factories = {
            function.__name__
            for function in functions
            if typing.get_type_hints(function).get("return") in (nvp.FlowDistribution, nvp.Dequantizer)
        }
        self.assertIn("real_nvp", factories)
        self.assertEqual(factories, {entry.factory for entry in registry.FLOWS})

    def test_names_are_unique(self):
        self.assertLen(registry.BY_NAME, len(registry.ENTRIES))

    @parameterized.named_parameters(_named(registry.ENTRIES))
    def test_entry_says_what_it_has(self, entry):
        bijector = registry.built(entry.name)
        self.assertEqual(entry.has_variables, bool(bijector.variables))
        self.assertEqual(entry.has_networks, _has_layers(bijector))


if __name__ == "__main__":
    absltest.main()
