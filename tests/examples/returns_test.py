"""The example of heavy tails divides days into weeks as it says, and its table has every flow."""

import contextlib
import io
import pathlib
import tempfile
import types
from unittest import mock

import numpy as np
import pandas as pd
from absl import flags
from absl.testing import absltest

from examples import returns as example


class ReturnsTest(absltest.TestCase):
    def test_weeks_are_in_the_order_of_time_and_do_not_overlap_the_next_part(self):
        days = np.stack([np.arange(200), -np.arange(200)], -1)
        train, validation, test = example.weeks(days)
        np.testing.assert_array_equal(train[3], np.stack([np.arange(3, 8), -np.arange(3, 8)], -1).reshape(-1))
        self.assertEqual((len(train), len(validation), len(test)), (136, 4, 8))
        self.assertEqual((train.max(), validation.min(), validation[1, 0], test[0, 0]), (139, -159, 145, 160))

    def test_main(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        random, dates = np.random.default_rng(0), pd.date_range("2020-01-01", periods=200)
        for name, missing in (("a", 0), ("b", 10)):  # The second lacks the first days.
            prices = pd.DataFrame({"Adj Close": np.exp(np.cumsum(0.01 * random.standard_t(3, 200)))}, index=dates)
            prices[missing:].to_csv(folder / f"{name}.csv", index_label="Date")
        files = [str(folder / f"{name}.csv") for name in "ab"]
        self.assertEqual(example.read(files).shape, (189, 2))
        values = types.SimpleNamespace(files=files, epochs=1, seed=0)
        few = {name: {**example.FLOWS[name], "layers": 1} for name in ("maf, normal base", "maf, student_t base")}
        with (
            mock.patch.object(flags, "FLAGS", values),
            mock.patch.object(example, "FLOWS", few),
            contextlib.redirect_stdout(io.StringIO()) as printed,
        ):
            example.main([])
        for name in few:
            self.assertRegex(printed.getvalue(), rf"(?m)^{name} +-[\d.]+ \+- [\d.]+ +-?[\d.]+ \+- [\d.]+ +[\d.]+%$")


if __name__ == "__main__":
    absltest.main()
