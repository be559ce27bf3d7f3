"""The example's exact density is one, and its table has every flow."""

import contextlib
import io
import types
from unittest import mock

import numpy as np
import pandas as pd
from absl import flags
from absl.testing import absltest

from examples import bounded as example


class BoundedTest(absltest.TestCase):
    def test_the_exact_density_integrates_to_one(self):
        # At the arcsine of uniform numbers, whose density is that of the marginals.
        uniform = (np.indices([400, 400]).reshape(2, -1).T + 0.5) / 400
        values = np.sin(np.pi / 2 * uniform) ** 2
        marginal = -np.sum(np.log(np.pi * np.sqrt(values * (1 - values))), -1)
        ratios = np.exp(example.log_density(pd.DataFrame(values, columns=["a", "b"])) - marginal)
        self.assertAlmostEqual(np.mean(ratios), 1, delta=0.01)

    def test_main(self):
        values = types.SimpleNamespace(rows=40, steps=2, seed=0)
        with mock.patch.object(flags, "FLAGS", values), contextlib.redirect_stdout(io.StringIO()) as printed:
            example.main([])
        self.assertRegex(printed.getvalue(), r"(?m)^exact +-?[\d.]+ \+- [\d.]+$")
        self.assertRegex(printed.getvalue(), r"(?m)^real columns +-?[\d.]+ \+- [\d.]+ +[\d.]+%$")
        self.assertRegex(printed.getvalue(), r"(?m)^bounded columns +-?[\d.]+ \+- [\d.]+ +0\.00%$")


if __name__ == "__main__":
    absltest.main()
