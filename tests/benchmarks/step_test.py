"""What the benchmarks of this package prepare does run."""

import math
from unittest import mock

from absl.testing import absltest, parameterized

from benchmarks import scaling, step
from tfp_realnvp import presets


class StepTest(parameterized.TestCase):
    def test_training_step(self):
        work = step.training_step("digits", 2, "float32")
        self.assertTrue(math.isfinite(work.run()))
        self.assertGreater(work.gradient_bytes, 0)

    def test_exported_is_the_same_work(self):
        # Of one model, built and exported once: an export traces every signature, whichever is to run.
        distribution = presets.digits.build(dtype_policy="float32")
        exported = step._exported(distribution, presets.digits)
        self.enter_context(mock.patch.object(presets.Preset, "build", return_value=distribution))
        self.enter_context(mock.patch.object(step, "_exported", return_value=exported))
        for function in (step.log_prob, step.sample):
            live, served = (function("digits", 2, "float32", exported=is_exported) for is_exported in (False, True))
            self.assertEqual(live.run().shape, served.run().shape, function.__name__)

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
