"""The gradients of a chain that holds no activations are those of one that stores them."""

import gc
import weakref
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tests.training import processes

nvb, nvt, tfb = nvp.bijectors, nvp.transformers, tfp.bijectors

_MODES = ("remat", "invert")
_FLOWS = ("real_nvp_two_scales", "real_nvp_one_scale", "real_nvp_layer_norm", "real_nvp_vector")
_WRAPS = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": lambda function: tf.function(function, jit_compile=True),
}


def _two_replicas():
    """Asserts that the modes are one another's on two devices; in a process of its own, which makes them."""
    processes.set_cpus(2)
    # A chain of one coupling and one norm; "remat" would store both.
    nvb.Chain._first_stored = lambda chain: len(chain.bijectors)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    expected, *results = (_of_two_replicas(strategy, backprop) for backprop in nvb.backprop.MODES)
    for result in results:
        for a, b in zip(tf.nest.flatten(result), tf.nest.flatten(expected), strict=True):
            assert np.max(np.abs(b)) > 0
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
    assert np.max(np.abs(expected[0][1][0] - expected[0][1][1])) > 0, "replicas have their own batches"


def _of_two_replicas(strategy, backprop):
    """The gradients on each replica, and the variables after them."""
    entry = registry.BY_NAME["split"]
    with strategy.scope():
        flow = nvb.Chain([entry.bijector("float64")], backprop=backprop)
    parts = iter(tf.split(entry.events([4], "float64"), 2))
    x = strategy.experimental_distribute_values_from_function(lambda _: next(parts))

    @tf.function
    def step(x):
        return strategy.run(lambda x: _gradients(flow, x, training=True), [x])

    gradients = tf.nest.map_structure(lambda g: [t.numpy() for t in g.values], step(x))
    return gradients, [variable.numpy() for variable in flow.variables]


class _Training(keras.Model):
    """Calls a function with Keras's `training` set, as `fit` does."""

    def __init__(self, function):
        super().__init__(dtype="float64", autocast=False, name="training")
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def _gradients(bijector, x, context=None, training=False, wrap=lambda function: function):
    """Gradients of a loss that depends on all of the output."""

    def gradients(x):
        sources = [x, *([] if context is None else [context])]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            model = _Training(lambda x: bijector.forward_and_log_det(x, context))
            z, log_det = model(x, training=training)
            weights = tf.random.stateless_normal(z.shape, (3, 0), dtype=z.dtype)
            loss = tf.reduce_sum(weights * tf.tanh(z)) + tf.reduce_sum(tf.sin(log_det))
        return tape.gradient(loss, [*sources, *bijector.trainable_variables])

    return wrap(gradients)(x)


class _Test(parameterized.TestCase):
    def assert_same_as_store(self, make, modes, *args):
        """`make` gives the layers, each time new and the same."""
        stored = nvb.Chain(make(), backprop="store")
        expected = _gradients(stored, *args)
        for mode in modes:
            with self.subTest(mode):
                chain = nvb.Chain(make(), backprop=mode)
                gradients = _gradients(chain, *args)
                self.assertEqual([g is None for g in gradients], [g is None for g in expected])
                pairs = [(a, b) for a, b in zip(gradients, expected, strict=True) if b is not None]
                norm = tf.linalg.global_norm([b for _, b in pairs])
                self.assertGreater(norm, 1e-3)
                self.assertLess(tf.linalg.global_norm([a - b for a, b in pairs]) / norm, 1e-9)
                # Moving moments and seeds, which moved, and once.
                for a, b in zip(chain.variables, stored.variables, strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

    def assert_entry_is_same_as_store(self, name, modes, training, wrap):
        entry = registry.BY_NAME[name]
        x, context = entry.events([3], "float64"), entry.context([3], "float64")
        make = lambda: [entry.bijector("float64")]  # noqa: E731
        self.assert_same_as_store(make, modes, x, context, training, _WRAPS[wrap])


class SecondGradientTest(parameterized.TestCase):
    @parameterized.product(mode=_MODES, wrap=("eager", "graph"))
    def test_is_refused(self, mode, wrap):
        flow = nvb.Chain([registry.built("split", "float64")], backprop=mode)
        flow._first_stored = lambda: 1
        x = registry.BY_NAME["split"].events([1], "float64")

        def second(x):
            with tf.GradientTape() as outer:
                outer.watch(x)
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    z = flow.forward_and_log_det(x)[0]
                gradient = inner.gradient(z, x)
            return outer.gradient(gradient, x)

        # Autograph raises an error of its own, with this one's message.
        with self.assertRaisesRegex(
            Exception, "expected a first-order gradient of a chain .* got a second-order one: build it with"
        ):
            _WRAPS[wrap](second)(x)


class LastCouplingsTest(_Test):
    """Of "remat", with the last couplings stored as they are."""

    @parameterized.product(name=(*_FLOWS, "real_nvp_odd_vector"), wrap=("eager", "graph"))
    def test_flows(self, name, wrap):
        self.assert_entry_is_same_as_store(name, ["remat"], True, wrap)

    def test_a_scale_within_a_scale(self):
        # Only eagerly: to trace three scales takes long, and two are traced above.
        self.assert_entry_is_same_as_store("real_nvp_three_scales", ["remat"], True, "eager")

    @parameterized.parameters("real_nvp_two_scales", "real_nvp_one_scale", "real_nvp_vector", "real_nvp_pair")
    def test_all_but_two_conditioners_are_evaluated_twice(self, name):
        distribution = registry.BY_NAME[name].build()
        distribution.flow.backprop = "remat"
        x = registry.BY_NAME[name].events([2])
        with registry.counted_conditioners(distribution) as counts, tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(distribution.log_prob(x))
            self.assertEqual(set(counts), {1})
            tape.gradient(loss, x)
        self.assertEqual(sorted(counts), [1, 1] + [2] * (len(counts) - 2))
        names = [coupling.name for coupling in registry.parts(distribution, nvb.Coupling)]
        last = sorted(name for name in names if "channel" not in name)[-2:]
        self.assertEqual([name for name, count in zip(names, counts) if count == 1], last)


class BackpropTest(_Test):
    def setUp(self):
        super().setUp()
        # What "remat" stores would hide what it does otherwise.
        every = mock.patch.object(nvb.Chain, "_first_stored", lambda chain: len(chain.bijectors))
        self.enter_context(every)

    @parameterized.product(name=[entry.name for entry in registry.BIJECTORS], training=(True, False))
    def test_every_bijector(self, name, training):
        self.assert_entry_is_same_as_store(name, _MODES, training, "eager")

    @parameterized.parameters(*_FLOWS)
    def test_flows_in_a_graph(self, name):
        self.assert_entry_is_same_as_store(name, _MODES, True, "graph")

    # Networks and couplings with batch norm, which is what inference changes.
    @parameterized.parameters("split", "real_nvp_vector")
    def test_inference_in_a_graph(self, name):
        self.assert_entry_is_same_as_store(name, _MODES, False, "graph")

    # The chain is slow to compile, and its layers of TFP keep their inputs in either mode.
    @parameterized.parameters(("split", _MODES), ("chain_mixed", ["invert"]))
    def test_xla(self, name, modes):
        self.assert_entry_is_same_as_store(name, modes, True, "xla")

    @parameterized.parameters("eager", "graph")
    def test_dropout_drops_the_same_again(self, wrap):
        def make():
            dropouts = [_built(_Dropout(2)), _built(_Dropout(2))]
            masks = [nvb.Alternating(i) for i in (0, 1)]
            return [nvb.Coupling(nvt.Affine(), d, m, dtype="float64") for d, m in zip(dropouts, masks)]

        x = tf.random.stateless_normal([8, 4], (1, 0), dtype=tf.float64)
        self.assert_same_as_store(lambda: [registry.randomize(nvb.Chain(make()))], _MODES, x, None, True, _WRAPS[wrap])

    def test_a_layer_may_occur_twice(self):
        # Its gradient is the sum of both.
        x = tf.random.stateless_normal([4, 5], (1, 0), dtype=tf.float64)

        def make():
            coupling = registry.BY_NAME["coupling_alternating_0"].bijector("float64")
            return [coupling, tfb.SinhArcsinh(tf.constant(0.3, tf.float64)), coupling]

        self.assert_same_as_store(make, _MODES, x)

    @parameterized.parameters(*_MODES)
    def test_a_log_prob_in_float32(self, mode):
        entry = registry.BY_NAME["real_nvp_three_scales"]
        gradients = []
        for backprop in ("store", mode):
            distribution = entry.build()
            distribution.flow.backprop = backprop
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(distribution.log_prob(entry.events([4])))
            gradients.append(tape.gradient(loss, distribution.trainable_variables))
        error = tf.linalg.global_norm([a - b for a, b in zip(*gradients, strict=True)])
        self.assertLess(error / tf.linalg.global_norm(gradients[0]), 1e-4)

    @parameterized.parameters(("remat", 2), ("invert", 2), ("store", 1))
    def test_evaluations_of_a_conditioner(self, backprop, expected):
        entry = registry.BY_NAME["real_nvp_two_scales"]
        distribution = entry.build()
        distribution.flow.backprop = backprop
        x = entry.events([2])
        with registry.counted_conditioners(distribution) as counts, tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(distribution.log_prob(x))
            self.assertEqual(set(counts), {1})
            tape.gradient(loss, x)
        self.assertEqual(set(counts), {expected})

    @parameterized.parameters(*_MODES)
    def test_a_tape_holds_no_activation(self, mode):
        made = []

        def conditioner(kept):
            hidden = tf.exp(kept)
            made.append(weakref.ref(hidden))
            return tf.concat([tf.sin(hidden), hidden], -1)

        chain = nvb.Chain([nvb.Coupling(nvp.transformers.Affine(), conditioner, nvb.Alternating(0))] * 2, backprop=mode)
        x = tf.ones([1, 4])
        with tf.GradientTape() as tape:
            tape.watch(x)
            z, _ = chain.forward_and_log_det(x)
        gc.collect()
        self.assertEqual([reference() for reference in made], [None, None])
        self.assertIsNotNone(tape.gradient(z, x))

    @parameterized.parameters(*_MODES)
    def test_a_graph_evaluates_a_layer_after_the_gradients_of_the_later_ones(self, mode):
        events = []

        def noted(name):
            """The identity, but of its evaluation and that of its gradient it is told in `events`."""

            def note(event):
                def function(value):
                    events.append(event)
                    return value

                # Not stateful: only what it is made from decides when, and how often, it is run.
                return lambda tensor: tf.ensure_shape(
                    tf.numpy_function(function, [tensor], tensor.dtype, stateful=False, name=event), tensor.shape
                )

            @tf.custom_gradient
            def identity(tensor):
                return note(name)(tensor), note(f"gradient_of_{name}")

            return identity

        class Conditioner(tf.Module):
            def __init__(self, name):
                super().__init__(name)
                self.weight = tf.Variable(0.5, name=name)

            def __call__(self, kept):
                hidden = noted(f"input_{self.name}")(kept) * noted(f"weight_{self.name}")(self.weight)
                return tf.concat([hidden, hidden], -1)

        names = ["a", "b", "c", "d"]
        couplings = [nvb.Coupling(nvt.Affine(), Conditioner(n), nvb.Alternating(i % 2)) for i, n in enumerate(names)]
        chain = nvb.Chain(couplings, backprop=mode)

        @tf.function
        def gradients(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                z, log_det = chain.forward_and_log_det(x)
                loss = tf.reduce_sum(tf.tanh(z)) + tf.reduce_sum(log_det)
            return tape.gradient(loss, [x, *chain.trainable_variables])

        x = tf.ones([2, 4])
        gradients(x)
        operations = gradients.get_concrete_function(x).graph.get_operations()
        for earlier, later in zip(names, names[1:]):
            # As it ran, after Grappler.
            self.assertEqual(events.count(f"input_{earlier}"), 2)
            again = len(events) - 1 - events[::-1].index(f"input_{earlier}")
            self.assertGreater(again, events.index(f"gradient_of_input_{later}"))
            # As it has to run whatever takes how long.
            again = [o for o in operations if f"input_{earlier}" in o.name and "gradient" not in o.name.split("/")[-1]]
            before = {operation.name.split("/")[-1] for operation in _before(again[-1])}
            self.assertIn(f"gradient_of_weight_{later}", before)

    def test_xla_does_not_merge_the_two_evaluations(self):
        entries = [registry.BY_NAME[f"coupling_checkerboard_{parity}"] for parity in (0, 1)]
        chain = nvb.Chain([entry.bijector() for entry in entries])

        def gradients(x):
            with tf.GradientTape() as tape:
                z, log_det = chain.forward_and_log_det(x)
                loss = tf.reduce_sum(tf.square(z)) - tf.reduce_sum(log_det)
            return tape.gradient(loss, chain.trainable_variables)

        convolutions = {}
        for backprop in nvb.backprop.MODES:
            chain.backprop = backprop
            compiled = tf.function(gradients, jit_compile=True)
            text = compiled.experimental_get_compiler_ir(entries[0].events([2]))(stage="optimized_hlo")
            convolutions[backprop] = text.count(" convolution(")
        # Those of the evaluation once more, beside its gradients' two.
        for mode in _MODES:
            self.assertGreater(convolutions[mode], 1.2 * convolutions["store"])

    def test_inference_that_nothing_records_is_as_of_store(self):
        entry = registry.BY_NAME["real_nvp_vector"]
        operations = []
        for backprop in nvb.backprop.MODES:
            distribution = entry.build()
            distribution.flow.backprop = backprop
            graph = tf.function(distribution.log_prob).get_concrete_function(entry.events([2])).graph
            operations.append([operation.type for operation in graph.get_operations()])
        self.assertEqual(operations[1:], [operations[0]] * 2)

    def test_two_replicas(self):
        processes.Process(_two_replicas).result()

    def test_unknown_backprop_is_refused(self):
        with self.assertRaisesRegex(ValueError, "expected backprop to be one of store, remat, invert, got 'reverse'"):
            nvb.Chain([nvb.Squeeze()], backprop="reverse")


def _before(operation):
    """All operations of a graph that run before one."""
    before, ahead = set(), [operation]
    while ahead:
        operation = ahead.pop()
        for other in (*(tensor.op for tensor in operation.inputs), *operation.control_inputs):
            if other not in before:
                before.add(other)
                ahead.append(other)
    return before


class _Dropout(keras.layers.Layer):
    """Half of a dense layer's output, which half is random."""

    def __init__(self, size):
        super().__init__(dtype="float64")
        self.dropout = keras.layers.Dropout(0.5, seed=1, dtype="float64")
        self.dense = keras.layers.Dense(2 * size, dtype="float64")

    def call(self, inputs):
        return self.dense(self.dropout(inputs))


def _built(layer):
    layer(tf.zeros([1, 2], layer.dtype))
    return layer


if __name__ == "__main__":
    absltest.main()
