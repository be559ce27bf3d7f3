"""Pictures of vectors."""

import numpy as np
from absl.testing import absltest, parameterized

from launch import vector_plots


def _rows(size, scale=1.0, count=500):
    return scale * np.random.default_rng(0).normal(size=(count, size))


class PairPlotsTest(parameterized.TestCase):
    @parameterized.parameters(1, 2, 4)
    def test_one_scale(self, size):
        names = [f"column {i}" for i in range(size)]
        figures = vector_plots.pair_plots(_rows(size), _rows(size, 3), names)
        for axes, others in zip(*(figure.axes for figure in figures), strict=True):
            self.assertEqual(axes.get_xlim(), others.get_xlim())
            self.assertEqual(axes.get_ylim(), others.get_ylim())
        # Of the wider ones.
        low, high = figures[0].axes[0].get_xlim()
        self.assertBetween(high, 6, 9)
        self.assertBetween(low, -9, -6)

    def test_axes_have_the_names_of_columns(self):
        names = ["$x$", "<b>&", "a name that is longer than a panel", "$", "never drawn"]
        figure, _ = vector_plots.pair_plots(_rows(5), _rows(5), names)
        self.assertLen(figure.axes, 16)
        figure.canvas.draw()
        shown = ["$x$", "<b>&", "a name that i…", "$"]
        self.assertEqual([axes.get_xlabel() for axes in figure.axes[-4:]], shown)
        self.assertEqual([axes.get_ylabel() for axes in figure.axes[::4]], ["share", *shown[1:]])

    def test_a_column_of_one_value(self):
        rows = np.stack([np.full(9, 3.0), np.arange(9.0)], 1)
        for figure in vector_plots.pair_plots(rows, rows, ["same", "other"]):
            figure.canvas.draw()
            self.assertEqual(figure.axes[0].get_xlim(), (2.5, 3.5))


class HistogramsTest(absltest.TestCase):
    def test_uniform_numbers_lie_in_the_band(self):
        u = np.random.default_rng(0).uniform(size=(2000, 5))
        for power, least, most in ((1.0, 17, 20), (0.7, 0, 8)):
            axes = vector_plots.transform_histogram(u**power, bins=20).axes[0]
            shares = axes.patches[0].get_data().values
            low, high = axes.patches[1].get_y(), axes.patches[1].get_y() + axes.patches[1].get_height()
            self.assertAlmostEqual(sum(shares), 1)
            self.assertAlmostEqual(high - low, 4 * np.sqrt(0.05 * 0.95 / 10_000))
            count = np.sum((low <= shares) & (shares <= high))
            self.assertBetween(count, least, most)

    def test_log_densities_have_the_same_bins(self):
        train, test = np.random.default_rng(0).normal(size=(2, 1000))
        test[0] = -1e6  # Far out, and not in the picture.
        axes = vector_plots.log_prob_histogram(train, test).axes[0]
        (shares, edges, _), (other_shares, other_edges, _) = (patch.get_data() for patch in axes.patches)
        np.testing.assert_array_equal(edges, other_edges)
        self.assertBetween(edges[0], -4, -2)
        self.assertEqual(edges[-1], max(train.max(), test.max()))
        for values in (shares, other_shares):
            self.assertBetween(sum(values), 0.98, 1)


if __name__ == "__main__":
    absltest.main()
