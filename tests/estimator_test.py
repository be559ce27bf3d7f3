"""The estimator is one of scikit-learn's, and its densities are those of the flow."""

import pickle
from unittest import mock

import numpy as np
import pandas as pd
from absl.testing import absltest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import tfp_realnvp as nvp

_TINY = dict(max_steps=5, flow_options=dict(couplings=2, hidden_units=(4,)))


def _frame(rows=300):
    random = np.random.default_rng(0)
    x = random.normal(size=rows)
    kind = np.where(x + random.normal(size=rows) > 0, "high", "low")
    return pd.DataFrame({"x": x, "kind": kind, "count": random.poisson(3, rows)})


class FlowEstimatorTest(absltest.TestCase):
    def test_scikit_learns_own_checks(self):
        results = check_estimator(nvp.FlowEstimator(**_TINY), on_fail=None, on_skip=None)
        failed = [f"{one['check_name']}: {one['exception']}" for one in results if one["status"] == "failed"]
        self.assertEmpty(failed)
        self.assertGreater(sum(one["status"] == "passed" for one in results), 40)

    def test_it_learns(self):
        random = np.random.default_rng(0)
        x = random.normal(size=1_000)
        table = np.stack([10 * x, 100 + x + 0.1 * random.normal(size=1_000)], -1)
        estimator = nvp.FlowEstimator(max_steps=200, flow_options=dict(couplings=4, hidden_units=(16,))).fit(table)
        entropy = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * np.cov(table.T)))
        self.assertAlmostEqual(estimator.score(table), -entropy, delta=0.15)
        np.testing.assert_allclose(np.corrcoef(estimator.sample(1_000, random_state=1).T)[0, 1], 0.99, atol=0.03)

    def test_a_frame_of_mixed_columns(self):
        frame = _frame()
        estimator = nvp.FlowEstimator(**_TINY).fit(frame)
        self.assertEqual([column.type for column in estimator.columns_.columns], ["real", "categorical", "integer"])
        scores = estimator.score_samples(frame)
        np.testing.assert_array_equal(estimator.score_samples(frame[::-1])[::-1], scores)
        copied = pickle.loads(pickle.dumps(estimator))
        np.testing.assert_array_equal(copied.score_samples(frame), scores)
        drawn = copied.sample(50, random_state=3)
        self.assertEqual(list(drawn.columns), list(frame.columns))
        self.assertContainsSubset(set(drawn["kind"]), {"high", "low"})
        with self.assertRaisesRegex(ValueError, "missing values"):
            estimator.fit(frame.assign(x=np.nan))

    def test_names_are_optional_and_other_settings_wait_for_the_next_fit(self):
        frame = _frame()[["x", "count"]].astype(float)
        estimator = nvp.FlowEstimator(**_TINY).fit(frame)
        scores = estimator.score_samples(frame)
        with self.assertWarnsRegex(UserWarning, "X does not have valid feature names"):
            np.testing.assert_array_equal(estimator.score_samples(frame.to_numpy()), scores)
        estimator.set_params(flow_options=_TINY["flow_options"] | dict(activation="tanh"))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator)).score_samples(frame), scores)
        with self.assertWarnsRegex(UserWarning, "X has feature names"):
            scores = nvp.FlowEstimator(**_TINY).fit(frame.to_numpy()).score_samples(frame)
        self.assertTrue(np.all(np.isfinite(scores)))

    def test_all_steps_are_taken(self):
        estimator = nvp.FlowEstimator(**_TINY | dict(max_steps=39)).fit(_frame(20)[["x", "count"]])
        self.assertEqual(estimator.n_iter_, 39)

    def test_weights_matter(self):
        table = np.concatenate([np.random.default_rng(0).normal(size=[200, 2]), 5 + np.zeros([200, 2])])
        table += 0.1 * np.random.default_rng(1).normal(size=table.shape)
        weight = np.repeat([1.0, 0.0], 200)
        options = dict(max_steps=100, flow_options=dict(couplings=2, hidden_units=(8,)))
        alike, weighted = (nvp.FlowEstimator(**options).fit(table, sample_weight=w) for w in (None, weight))
        self.assertGreater(weighted.score(table[:200]), alike.score(table[:200]))
        np.testing.assert_allclose([column.mean for column in weighted.columns_.columns], table[:200].mean(0))

    @mock.patch.object(nvp.FlowEstimator, "_train")
    def test_the_scale_of_weights_does_not(self, train):
        weight = np.linspace(1, 3, 20)
        for scale in (1.0, 1e300, 1e-300):  # Beyond what float32 can hold.
            nvp.FlowEstimator(**_TINY).fit(_frame(20)[["x", "count"]], sample_weight=scale * weight)
            np.testing.assert_allclose(train.call_args.args[1], weight / 2, rtol=1e-6)

    @mock.patch.object(nvp.FlowEstimator, "_train")
    def test_categories_and_truth_values_are_no_real_numbers(self, train):
        frame = _frame()[["x"]]
        for values in (frame["x"] > 0, pd.Categorical([1, 2, 3] * 100)):
            estimator = nvp.FlowEstimator(**_TINY).fit(frame.assign(y=values))
            self.assertContainsSubset(set(estimator.sample(20)["y"]), {0, 1} if len(set(values)) == 2 else {1, 2, 3})

    def test_few_rows_are_not_learned_by_heart(self):
        """Of 80 rows, what is best on held-out ones generalises; the last weights do not."""
        rows = np.random.default_rng(0).normal(size=[480, 4])
        options = dict(max_steps=300, batch_size=32, flow_options=dict(couplings=3, hidden_units=(32, 32)))
        few, others = rows[:80], rows[80:]
        last, kept = (
            nvp.FlowEstimator(**options, validation_fraction=share).fit(few).score(others) for share in (None, 0.2)
        )
        exact = -2 * np.log(2 * np.pi) - 0.5 * np.mean(np.sum(others**2, -1))
        self.assertBetween(kept, exact - 0.5, exact + 0.1)
        self.assertLess(last, kept - 0.5)

    def test_pipeline_and_grid_search(self):
        table = np.random.default_rng(0).normal(size=[60, 3])
        pipeline = make_pipeline(StandardScaler(), nvp.FlowEstimator(**_TINY))
        self.assertTrue(np.isfinite(pipeline.fit(table).score(table)))
        search = GridSearchCV(nvp.FlowEstimator(**_TINY), {"learning_rate": [1e-3, 1e-2]}, cv=2).fit(table)
        self.assertIn(search.best_params_["learning_rate"], (1e-3, 1e-2))

    def test_refused(self):
        times = 1.7e9 + np.random.default_rng(0).normal(size=[20, 2])
        with self.assertRaisesRegex(
            ValueError, "column_0: expected values that float32 can tell apart, got a standard"
        ):
            nvp.FlowEstimator().fit(times)
        with self.assertRaisesRegex(ValueError, "expected flow to be one of real_nvp, .* got 'vae'"):
            nvp.FlowEstimator("vae").fit(np.zeros([5, 2]))
        with self.assertRaisesRegex(ValueError, "expected a validation_fraction between 0 and 1, or None, got 1"):
            nvp.FlowEstimator(validation_fraction=1).fit(np.zeros([5, 2]))
        for given, got in ((dict(max_steps=0), "0 and 256"), (dict(batch_size=0), "2000 and 0")):
            with self.assertRaisesRegex(ValueError, f"expected max_steps and a batch_size of 1 or more, got {got}"):
                nvp.FlowEstimator(**given).fit(np.zeros([5, 2]))


if __name__ == "__main__":
    absltest.main()
