"""The peer does the same work as ours."""

import importlib.util
import sys
import unittest

from absl.testing import absltest

from benchmarks import peers


class PeersTest(absltest.TestCase):
    @unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not installed: pip install '.[bench]'")
    def test_the_port_agrees_with_ours_when_it_has_the_same_weights(self):
        for name, difference in peers.check(sys.executable).items():
            self.assertLess(difference, 1e-4, name)


if __name__ == "__main__":
    absltest.main()
