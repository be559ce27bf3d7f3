"""A flow both ways, in batches."""

import numpy as np
from absl.testing import absltest

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import evaluation

_SHAPE = (8, 8, 1)


def _distribution(**kwargs):
    return registry.randomize(nvp.real_nvp(event_shape=_SHAPE, scales=1, width=2, blocks=0, levels=17, **kwargs))


class PassesTest(absltest.TestCase):
    def test_both_ways_in_batches(self):
        distribution = _distribution()
        x = distribution.sample(7, seed=(0, 1)).numpy()
        done = []
        z = evaluation.encode(distribution, x, batch_size=3, progress=done.append)
        self.assertEqual(done, [3, 6, 7])
        np.testing.assert_allclose(z, distribution.flow.forward(x), rtol=1e-4, atol=1e-4)
        for jit_compile in (False, True):
            back = evaluation.decode(distribution, z, batch_size=4, jit_compile=jit_compile)
            np.testing.assert_allclose(back, x, rtol=1e-3, atol=1e-3)

    def test_of_a_context(self):
        distribution = _distribution(context_size=2)
        context = np.eye(2, dtype=np.float32)[[0, 1, 1]]
        x = distribution.sample(3, seed=(0, 1), context=context).numpy()
        z = evaluation.encode(distribution, x, context, batch_size=2)
        np.testing.assert_allclose(z, distribution.flow.forward(x, context=context), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(evaluation.decode(distribution, z, context, batch_size=2), x, rtol=1e-3, atol=1e-3)
        with self.assertRaisesRegex(ValueError, "one context for each of 3 rows, got 1"):
            evaluation.encode(distribution, x, context[:1])

    def test_refusals(self):
        distribution = _distribution()
        with self.assertRaisesRegex(TypeError, "real-valued events, got uint8"):
            evaluation.encode(distribution, np.zeros([1, *_SHAPE], np.uint8))
        for shape in (_SHAPE, [1, *_SHAPE[:2], 5]):
            for function in (evaluation.encode, evaluation.decode):
                with self.assertRaisesRegex(ValueError, r"expected rows of shape \[n, 8, .*\], got "):
                    function(distribution, np.zeros(shape, np.float32))
        with self.assertRaisesRegex(ValueError, "batch size of at least 1, got 0"):
            evaluation.decode(distribution, np.zeros([1, *_SHAPE]), batch_size=0)


if __name__ == "__main__":
    absltest.main()
