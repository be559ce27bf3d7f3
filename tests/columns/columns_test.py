"""Types of columns: each turns its values into standard normal numbers and back, with the right density."""

import json
import re

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tfp_realnvp.columns import column as column_file

_RANDOM = np.random.default_rng(0)
_ROWS = 2_000
_VALUES = {
    "real": _RANDOM.normal(3, 2, _ROWS),
    "positive": _RANDOM.gamma(1, 2, _ROWS),
    "below": 5 - _RANDOM.gamma(1, 2, _ROWS),
    "bounded": _RANDOM.beta(0.5, 0.5, _ROWS),
    "circular": _RANDOM.uniform(-180, 180, _ROWS),
    "integer": _RANDOM.integers(-3, 9, _ROWS),
    "spiked": np.where(_RANDOM.random(_ROWS) < 0.9, 0, _RANDOM.integers(0, 50_000, _ROWS)),
    "ordinal": _RANDOM.choice([0.5, 1.5, 7.0], _ROWS),
    "boolean": _RANDOM.choice(["no", "yes"], _ROWS, p=[0.9, 0.1]),
    "categorical": _RANDOM.choice(["a", "b", "c", "d"], _ROWS, p=[0.7, 0.2, 0.095, 0.005]),
}
_SPEC = "below:bounded(none,5),bounded:bounded(0,1),circular:circular(360,-180)"
_COLUMNS = nvp.columns.infer(_VALUES, _SPEC)
_BY_NAME = {column.name: column for column in _COLUMNS.columns}


def _independent(v):
    return tf.reduce_sum(column_file.normal_log_prob(v), -1)


class EachTypeTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        # Values as tensors, and noise.
        self.rows = tf.constant(_COLUMNS.encode(_VALUES))
        self.of = dict(zip(_COLUMNS.names, tf.unstack(self.rows, axis=-1)))

    def _noise(self, column, seed=(0, 1)):
        return tf.random.stateless_uniform([_ROWS, column.noises], seed)

    @parameterized.parameters(*_VALUES)
    def test_there_and_back(self, name):
        column = _BY_NAME[name]
        v, log_q = column.dequantize(self.of[name], self._noise(column))
        self.assertEqual(v.shape, [_ROWS, column.entries])
        self.assertTrue(np.all(np.isfinite(v)) and np.all(np.isfinite(log_q)))
        if name == "spiked":  # float32 has fewer numbers than its widest cells have places.
            np.testing.assert_allclose(column.quantize(v), self.of[name], atol=2)
        else:
            np.testing.assert_allclose(column.quantize(v), self.of[name], rtol=1e-4, atol=1e-4)
        decoded = column.decode(self.of[name].numpy())
        if _VALUES[name].dtype.kind == "f":
            np.testing.assert_allclose(decoded, _VALUES[name], rtol=1e-6)
        else:
            np.testing.assert_array_equal(decoded, _VALUES[name])

    @parameterized.parameters(*_VALUES)
    def test_entries_are_standard(self, name):
        column = _BY_NAME[name]
        v, _ = column.dequantize(self.of[name], self._noise(column))
        np.testing.assert_allclose(np.mean(v, 0), 0, atol=0.1)
        np.testing.assert_allclose(np.std(v, 0), 1, atol=0.1)

    @parameterized.parameters("circular", "integer", "spiked", "ordinal", "boolean", "categorical")
    def test_the_bound_is_tight_for_the_frequencies_of_training(self, name):
        # Whatever the noise, log N(v) - log q is the log-probability of the value, or a circle's uniform density.
        column, values = _BY_NAME[name], self.of[name].numpy()
        for value in np.unique(values)[:5]:
            v, log_q = column.dequantize(tf.fill([_ROWS], value), self._noise(column))
            log_prob = (_independent(v) - log_q).numpy()
            self.assertLess(np.ptp(log_prob), 1e-4)
            expected = 1 / 360 if name == "circular" else np.mean(values == value)
            if name != "spiked" or value == 0:
                self.assertAlmostEqual(np.exp(log_prob[0]), expected, delta=1e-2)

    @parameterized.parameters("real", "positive", "below", "bounded")
    def test_the_density_is_the_derivative(self, name):
        column, x = _BY_NAME[name], tf.cast(self.of[name][:50], tf.float64)
        nothing = tf.zeros([50, 0], tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            v, log_q = column.dequantize(x, nothing)
        slope = tape.gradient(v, x)
        np.testing.assert_allclose(-log_q, np.log(slope), rtol=1e-6)

    @parameterized.parameters(
        ("real", [np.nan, np.inf]),
        ("positive", [-1, np.nan]),
        ("below", [5.5, -np.inf]),
        ("bounded", [-0.01, 1.01]),
        ("circular", [np.nan, np.inf]),
        ("integer", [-4, 9, 0.5, np.nan]),
        ("ordinal", [3, -1, 0.5]),
        ("boolean", [2, np.nan]),
        ("categorical", [4, -1, 0.5]),
    )
    def test_what_is_no_value_has_no_density(self, name, values):
        column = _BY_NAME[name]
        x = tf.constant(values, tf.float32)
        v, log_q = column.dequantize(x, tf.fill([len(values), column.noises], 0.5))
        np.testing.assert_array_equal(log_q, np.inf)
        self.assertTrue(np.all(np.isfinite(v)))
        np.testing.assert_array_equal(column.features(x), np.nan)  # Nor does anything given it.

    def test_samples_are_values(self):
        v = tf.random.stateless_normal([20_000, _COLUMNS.entries], (3, 4))
        table = _COLUMNS.decode(_COLUMNS.quantize(v).numpy())
        self.assertBetween(np.min(table["bounded"]), 0, 1)
        self.assertBetween(np.max(table["bounded"]), 0, 1)
        self.assertGreater(np.min(table["positive"]), 0)
        self.assertLess(np.max(table["below"]), 5)
        self.assertTrue(np.all((table["circular"] >= -180) & (table["circular"] < 180)))
        for name in ("integer", "ordinal", "boolean", "categorical"):
            self.assertContainsSubset(np.unique(table[name]), np.unique(_VALUES[name]))
        np.testing.assert_allclose(np.mean(table["spiked"] == 0), 0.9, atol=0.02)

    def test_a_missing_value_stays_one(self):
        rows = np.stack([_COLUMNS.example()[0], np.full(_COLUMNS.size, np.nan)])
        table = _COLUMNS.decode(rows)
        for name in _COLUMNS.names:
            there, missing = table[name].tolist()
            self.assertTrue(there == there and there is not None)
            self.assertTrue(missing is None if name in _COLUMNS.text else np.isnan(missing))
        for code in (-1, 4, 0.5):
            with self.assertRaisesRegex(ValueError, f"expected codes 0 ... 3 of a, b, c, d, got {code}"):
                _BY_NAME["categorical"].decode(np.array([0.0, code]))
        nothing = _COLUMNS.quantize(tf.fill([2, _COLUMNS.entries], np.nan))
        np.testing.assert_array_equal(nothing, np.nan)

    def test_json(self):
        text = json.dumps(_COLUMNS.to_json())
        self.assertEqual(nvp.columns.Columns.of_json(json.loads(text)), _COLUMNS)


class DensityTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        names = ("real", "bounded", "circular", "integer", "categorical")
        self.table = {name: _VALUES[name] for name in names}
        self.columns = nvp.columns.infer(self.table, "bounded:bounded(0,1),circular:circular(360,-180)")
        keras.utils.set_random_seed(1)
        self.flow = nvp.coupling_flow(event_shape=(self.columns.entries,), couplings=2, hidden_units=(8,))
        for variable in self.flow.trainable_variables:  # Not the identity.
            variable.assign_add(0.04 * tf.random.stateless_normal(variable.shape, (len(variable.shape), 7)))

    def test_it_sums_and_integrates_to_one(self):
        # E[p(row) / r(row)] = 1 for rows from a density r: here that of independent columns, which is known.
        v = tf.random.stateless_normal([400_000, self.columns.entries], (0, 0))
        rows = self.columns.quantize(v)
        log_p = self.columns.log_prob(self.flow, rows, self.columns.noise(rows, seed=(0, 1)))
        real, bounded, _, integer, categorical = self.columns.columns
        x, y, _, n, k = np.asarray(rows, np.float64).T

        def normal(z):
            return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)

        of_cell = np.diff(integer.cumulative)[n.astype(int) - integer.edges[0]]
        of_category = np.asarray(categorical.frequencies)[k.astype(int)]
        inside = np.clip(y, 1e-30, 1 - 1e-7)
        slope = 1 / (bounded.std * inside * (1 - inside))
        r = normal((x - real.mean) / real.std) / real.std / 360 * of_cell * of_category
        r *= normal((np.log(inside / (1 - inside)) - bounded.mean) / bounded.std) * slope
        usable = (y > 1e-6) & (y < 1 - 1e-6)  # Nearer to the bounds float32 has no numbers.
        ratio = np.where(usable, np.exp(log_p - np.log(r)), 1.0)
        self.assertGreater(np.std(ratio), 0.05)  # The flow is another density than r.
        self.assertAlmostEqual(np.mean(ratio), 1, delta=1e-3)

    def test_classes_are_refused(self):
        # Their labels would have no effect beside the context of the columns.
        rows, message = self.columns.encode(self.table)[:2], "expected columns or classes, got both, 3 classes"
        for call in (
            lambda: nvp.evaluate(self.flow, [(rows, np.zeros(2, int))], columns=self.columns, classes=3),
            lambda: nvp.FlowModel(self.flow, columns=self.columns, classes=3),
            lambda: nvp.serving.Scorer(self.flow, columns=self.columns, classes=3),
        ):
            with self.assertRaisesRegex(ValueError, message):
                call()
        model = nvp.FlowModel(self.flow, columns=self.columns)
        with self.assertRaisesRegex(ValueError, r"expected no context beside columns, got one of shape \(2,\)"):
            model(rows, tf.zeros([2]))
        for others in (rows[:, 1:], np.pad(rows, [[0, 0], [1, 0]]), rows[0], rows.astype(int)):
            with self.assertRaisesRegex(ValueError, r"expected rows of floats \[n, 5\], .* real, bounded, .*, got "):
                model(tf.constant(others))
        with self.assertRaisesRegex(ValueError, "expected columns of a table or levels of a pixel, got both"):
            nvp.serving.Scorer(self.flow, columns=self.columns, levels=256)
        with self.assertRaisesRegex(ValueError, "expected no labels for a model without classes, got some"):
            nvp.serving.Scorer(self.flow, columns=self.columns).score(rows, labels=np.zeros(2, int))

    def test_a_circle_has_no_ends(self):
        rows = self.columns.encode(self.table)[:20]
        ends = []
        for angle in (-180.0, 180.0):
            rows[:, 2] = angle
            x = tf.constant(rows)
            ends.append(self.columns.log_prob(self.flow, x, self.columns.noise(x, seed=(0, 1))))
        np.testing.assert_allclose(*ends, atol=1e-4)

    def test_more_noise_samples_bound_it_tighter(self):
        rows = self.columns.encode(self.table)[:200]
        one, many = (nvp.evaluate(self.flow, [rows], columns=self.columns, importance_samples=k).mean for k in (1, 20))
        self.assertGreater(many, one)

    def test_weights(self):
        table = {name: self.table["real"] * scale for name, scale in (("a", 1), ("b", 2))}
        weight = np.linspace(0, 3, _ROWS)
        columns = nvp.columns.infer_with_notes({**table, "w": weight}, "a:real,b:real", weights="w").columns
        flow = nvp.coupling_flow(event_shape=(2,), couplings=2, hidden_units=(4,))
        rows = columns.encode({**table, "w": weight})[:300]
        weight = weight[:300]
        rows[:2, -1] = weight[:2] = 0
        nats = columns.log_prob(flow, tf.constant(rows), tf.zeros([300, 0])).numpy().astype(np.float64)
        weighted = nats * weight / weight.mean()  # Of these rows, not of the training rows.
        seen = []
        score = nvp.evaluate(flow, [rows[:2], rows[2:70], rows[70:]], columns=columns, progress=seen.append)
        self.assertEqual([part.count for part in seen], [70, 300])  # None of the first batch counts.
        self.assertEqual(seen[-1], score)
        self.assertAlmostEqual(score.mean, np.sum(nats * weight) / np.sum(weight), places=4)
        self.assertAlmostEqual(score.standard_error, np.std(weighted, ddof=1) / np.sqrt(300), places=4)
        self.assertNotAlmostEqual(score.mean, nats.mean(), places=2)


class PartialTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.table = {name: _VALUES[name].copy() for name in ("real", "categorical")}
        self.columns = nvp.columns.infer(self.table, is_partial=True)
        self.rows = self.columns.encode(self.table)
        self.rows[::2, 0] = np.nan

    def test_a_missing_value_changes_nothing_under_a_standard_normal(self):
        x = tf.constant(self.rows)
        v, context, log_q = self.columns.dequantize(x, self.columns.noise(x, seed=(0, 1)))
        self.assertEqual(context.shape[-1], self.columns.context_size)
        whole = np.log(np.asarray(self.columns.columns[1].frequencies))[self.rows[:, 1].astype(int)]
        np.testing.assert_allclose((_independent(v) - log_q)[::2], whole[::2], atol=1e-4)

    def test_training_chooses_targets_and_givens(self):
        x = tf.constant(self.rows)
        noise = self.columns.noise(x, seed=(0, 1))
        target, given = self.columns._chosen(~tf.math.is_nan(x), noise[:, -7:], True)
        self.assertFalse(np.any(target & given))
        self.assertFalse(np.any((target | given)[::2, 0]))  # It is not there.
        self.assertBetween(np.mean(given[:, 1]), 0.2, 0.3)

    def test_training_gives_the_density_of_the_targets_alone(self):
        x = tf.constant(self.rows)
        v, context, log_q = self.columns.dequantize(x, self.columns.noise(x, seed=(0, 1)), training=True)
        # The number and its flag, four categories and their flag, and whether each column is left out.
        given, absent = context.numpy()[:, [1, 6]] == 1, context.numpy()[:, 7:] == 1
        target = ~given & ~absent
        self.assertFalse(np.any(given & absent))
        self.assertTrue(np.all(absent[::2, 0]))  # It is not there.
        for chosen, least, most in ((target[1::2], 0.63, 0.74), (given[1::2], 0.2, 0.3), (absent[1::2], 0.04, 0.09)):
            self.assertBetween(np.mean(chosen), least, most)
        real, categorical = self.columns.columns
        z = (self.rows[:, 0] - real.mean) / real.std
        of_real = -0.5 * (z**2 + np.log(2 * np.pi)) - np.log(real.std)
        of_categorical = np.log(np.asarray(categorical.frequencies))[self.rows[:, 1].astype(int)]
        expected = np.where(target[:, 0], of_real, 0) + np.where(target[:, 1], of_categorical, 0)
        np.testing.assert_allclose(_independent(v) - log_q, expected, atol=1e-4)
        np.testing.assert_allclose(context[:, 0], np.where(given[:, 0], z, 0), atol=1e-5)
        one_hot = np.eye(4)[self.rows[:, 1].astype(int)]
        np.testing.assert_array_equal(context[:, 2:6], np.where(given[:, 1:], one_hot, 0))

    def test_impute_keeps_what_is_there(self):
        flow = nvp.coupling_flow(
            event_shape=(self.columns.entries,), couplings=2, hidden_units=(4,), context_size=self.columns.context_size
        )
        filled = nvp.columns.impute(
            lambda context, seed: flow.sample(len(context), seed=seed, context=context), self.columns, self.rows
        )
        self.assertFalse(np.any(np.isnan(filled)))
        np.testing.assert_array_equal(filled[1::2], self.rows[1::2])
        np.testing.assert_array_equal(filled[:, 1], self.rows[:, 1])


class InferenceTest(parameterized.TestCase):
    def test_types(self):
        table = {
            "whole": [1, 5, 9, 20] * 30,
            "grade": [1.5, 2.5, 3.5] * 40,
            "truth": ["Yes", "no"] * 60,
            "flag": [0, 1] * 60,
            "name": [f"person {i}" for i in range(120)],
            "day": ["2020-01-02", "2021-03-04"] * 60,
            "same": [7] * 120,
            "gap": ["0.5", "NA", "", "-1.25"] * 30,
            "kind": ["x", "y", None] * 40,
        }
        found = nvp.columns.infer_with_notes(table)
        types = {column.name: column.type for column in found.columns.columns}
        expected = {"whole": "integer", "grade": "ordinal", "truth": "boolean", "flag": "boolean", "gap": "boolean"}
        self.assertEqual(types, expected | {"kind": "categorical"})
        notes = "\n".join(found.notes)
        for line in (
            "name  left out: text with 120",
            "day  left out: dates",
            "same  left out: constant, 7",
            "60 missing",
        ):
            self.assertIn(line, notes)

    def test_named_types_cover_values_that_training_lacks(self):
        whole = {"a": [1.0, 2.0, 3.0, 9.0], "b": [0.5, 1.5, 2.5, 3.5], "c": ["x", "y", "x", "z"]}
        train = {name: values[:3] for name, values in whole.items()}
        found = nvp.columns.infer_with_notes(train, "a:integer,b:ordinal,c:categorical", levels=whole).columns
        np.testing.assert_array_equal(found.encode(whole)[3], [9, 3, 2])

    @parameterized.parameters(
        ("a:bounded(none)", "expected a lower bound"),
        ("a:round", "expected a type among real, positive"),
        ("-b", "expected names of columns among a, got 'b'"),
        ("a", "expected -NAME or NAME:TYPE"),
        ("a:real,a:integer", "expected each column once, got 'a' twice"),
        ("a:circular", "expected circular(period) or circular(period,start), got 'circular'"),
        ("a:circular(none)", "expected circular(period) or"),
        ("a:bounded(zero,none)", "expected bounded(low,high), with none for no bound, got 'bounded(zero,none)'"),
        ("a:integer(0.5,3)", "expected integer or integer(low,high), got 'integer(0.5,3)'"),
        ("a:real(3)", "expected real, got 'real(3)'"),
        ("a:ordinal(1,2,2,3)", "expected different values, got 'ordinal(1,2,2,3)'"),
        ("a:integer(2,3)", "row 0, column 'a': expected a whole number in 2 ... 3, got 1"),
        ("a:categorical", "expected text for categorical"),
        ("-a", "expected a column whose density is to be learned, got none"),
    )
    def test_refused(self, spec, message):
        with self.assertRaisesRegex(ValueError, re.escape(message)):
            nvp.columns.infer({"a": [1.0, 2.0, 3.0]}, spec)

    @parameterized.parameters(
        *("real", "positive", "bounded(0,1)", "circular(6)", "integer", "integer(0,1)"),
        *("ordinal", "ordinal(0,1)", "boolean", "categorical", "categorical(a,b)"),
    )
    def test_a_named_type_without_values(self, called):
        table = {"a": np.arange(4.0) ** 0.5, "b": np.full(4, np.nan)}
        with self.assertRaisesRegex(ValueError, f"b: expected values for {called.partition('(')[0]}, got none"):
            nvp.columns.infer(table, f"b:{called}")

    def test_values_as_users_have_them(self):
        table = {
            "flag": pd.array([True, None, False, True], dtype="boolean"),
            "kind": pd.array(["u", "NA", " v", None], dtype="string"),
            "code": ["1_0", "2_0", "1_0", "2_0"],
            "digits": ["1.5", "NA", "-2", "1e3"],
        }
        columns = nvp.columns.infer(table, "kind:categorical,code:categorical")
        np.testing.assert_array_equal(
            columns.encode(table), [[1, 0, 0, 1.5], [np.nan, np.nan, 1, np.nan], [0, 1, 0, -2], [1, np.nan, 1, 1000]]
        )
        truth = {"a": [0, 1, 2], "b": ["True", "False", "True"]}
        found = nvp.columns.infer(truth, "a:ordinal(0,1,2),b:boolean(True,False)").columns
        self.assertEqual([column.describe() for column in found], ["ordinal(0,1,2)", "boolean"])
        with self.assertRaisesRegex(ValueError, "row 1, column 'digits': expected a number, got 'x'"):
            columns.encode(table | {"digits": ["1", "x", "2", "3"]})

    def test_a_weight_column_counts_beside_sample_weights(self):
        table = {"a": np.array([-1.5, 0.25, 2.5]), "w": np.array([1.0, 2.0, 3.0])}
        columns = nvp.columns.infer_with_notes(table, weights="w").columns
        model = nvp.FlowModel(nvp.planar(event_shape=1, layers=1), columns=columns)
        given, rows = dict(training=False, seed=(0, 0)), tf.constant(columns.encode(table))
        expected = model.log_prob_of(rows, **given)
        np.testing.assert_allclose(expected, model(rows) * [0.5, 1.0, 1.5], rtol=1e-6)
        np.testing.assert_allclose(model.log_prob_of((rows, None, tf.fill([3], 2.0)), **given), 2 * expected, rtol=1e-6)

    def test_names_of_a_frame(self):
        numbers = np.array([[0.5, 1], [1.5, 3], [2.25, 4]])
        frame = pd.DataFrame(numbers)
        columns = nvp.columns.infer(frame, "0:real")
        self.assertEqual(columns.names, ("0", "1"))
        np.testing.assert_array_equal(columns.encode(frame), numbers)
        for names in (["0", "0"], ["0", 0]):
            twice = frame.set_axis(names, axis=1)
            for call in (nvp.columns.infer, columns.encode):
                with self.assertRaisesRegex(ValueError, "expected different names of columns, got '0' twice"):
                    call(twice)

    @parameterized.parameters(
        ([1.0, 2.0], "b: expected 3 values, as in a, got 2"),
        ([[1.0], [2.0], [3.0]], "b: expected numbers or text [n], got float64 of shape (3, 1)"),
        ([1j, 2j, 3j], "b: expected numbers or text [n], got complex128 of shape (3,)"),
    )
    def test_columns_of_another_shape(self, values, message):
        with self.assertRaisesRegex(ValueError, re.escape(message)):
            nvp.columns.infer({"a": [1.0, 2.0, 4.0], "b": values})

    def test_tables_and_rows_of_another_shape(self):
        table = {"a": np.arange(4.0) ** 0.5, "b": np.arange(4.0)}
        columns = nvp.columns.infer(table)
        for values, shape in ((table["a"][:, np.newaxis], "(4, 1)"), (1.0, "()")):
            message = f"a: expected numbers or text [n], got float64 of shape {shape}"
            with self.assertRaisesRegex(ValueError, re.escape(message)):
                columns.encode(table | {"a": values})
        for shape in ([2, 3], [2]):
            with self.assertRaisesRegex(ValueError, re.escape(f"expected rows [n, 2] of a, b, got shape {shape}")):
                columns.decode(np.zeros(shape))

    @parameterized.parameters(
        (np.array([1, "a", 2.5], object), ["1", "a", "2.5"]),
        (["NaN", "1.5", "2.5"], [np.nan, 1.5, 2.5]),
        (["0.5", " 1.5", "2.5"], [0.5, 1.5, 2.5]),
        ([b"a", b"NA", b" b"], ["a", None, "b"]),
        ([b"1.5", b"NA", b"-2"], [1.5, np.nan, -2]),
        (np.array([True, "no", None], object), ["True", "no", None]),
    )
    def test_what_was_inferred_is_encoded(self, values, expected):
        table = {"a": np.tile(values, 20)}
        columns = nvp.columns.infer(table, is_partial=True)
        found = columns.decode(columns.encode(table))["a"][: len(expected)]
        np.testing.assert_array_equal(found, np.array(expected, found.dtype))

    @parameterized.parameters("real", "positive", "circular", "weight")
    def test_numbers_beyond_the_range_of_float32(self, name):
        numbers = {
            "real": [-1.5, 0.0, 2.5],
            "positive": [0.5, 1.5, 2.5],
            "circular": [1.0, 2.0, 3.5],
            "weight": [1, 2, 3],
        }
        columns = nvp.columns.infer_with_notes(numbers, "circular:circular(6)", weights="weight").columns
        with self.assertRaisesRegex(ValueError, f"row 1, column '{name}': expected a .*float32 can hold, got 1e[+]39"):
            columns.encode(numbers | {name: [1.0, 1e39, 1.0]})

    def test_weights_that_are_none(self):
        table = {"a": np.arange(4.0) ** 0.5}
        for weight, message in (
            (["x", "y", "x", "y"], "weight: expected numbers for weights, got 'x'"),
            (np.zeros(4), "weight: expected weights of 0 or more, some above 0, got a mean of 0.0"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                nvp.columns.infer_with_notes(table | {"weight": weight}, weights="weight")

    def test_rows_without_weight_decide_nothing(self):
        table = {"a": np.array([1.0, 2.0, 1e6]), "weight": np.array([1.0, 1.0, 0.0])}
        (column,) = nvp.columns.infer_with_notes(table, "a:real", weights="weight").columns.columns
        self.assertEqual((column.mean, column.std), (1.5, 0.5))
        with self.assertRaisesRegex(ValueError, "row 2, column 'a': expected 0 to 3, got 9"):
            wrong = {"a": np.array([1.0, 2.0, 9.0]), "weight": np.array([1.0, 0.0, 1.0])}
            nvp.columns.infer_with_notes(wrong, "a:bounded(0,3)", weights="weight")


if __name__ == "__main__":
    absltest.main()
