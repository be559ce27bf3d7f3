"""What the benchmarks of this package prepare does run."""

import math

from absl.testing import absltest, parameterized

from benchmarks import scaling, step


class StepTest(parameterized.TestCase):
    def test_training_step(self):
        work = step.training_step("digits", 2, "float32")
        self.assertTrue(math.isfinite(work.run()))
        self.assertGreater(work.gradient_bytes, 0)

    @parameterized.parameters("log_prob", "sample")
    def test_exported_is_the_same_work(self, function):
        live, exported = (getattr(step, function)("digits", 2, "float32", exported=e) for e in (False, True))
        self.assertEqual(live.run().shape, exported.run().shape)

    def test_the_floor_has_the_convolutions_of_all_networks(self):
        floor = step.bare_convolutions("digits", 2, "float32", backward=True)
        networks = step.networks("digits", 2, "float32")
        self.assertTrue(math.isfinite(floor.run()))
        # Beside kernels, networks have magnitudes, biases and offsets.
        self.assertBetween(floor.gradient_bytes / networks.gradient_bytes, 0.9, 1.0)

    @parameterized.parameters("store", "invert")
    def test_step_of_a_narrow_flow(self, backprop):
        work = scaling.training_step(couplings=1, backprop=backprop, batch_size=2)
        self.assertTrue(math.isfinite(work.run()))


if __name__ == "__main__":
    absltest.main()
