"""Whatever is asked of an export, it answers rightly or says why not."""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import tfp_realnvp as nvp
from tests import registry
from tfp_realnvp import serving

_LEVELS, _LABELS, _SHAPE, _MOST, _ROWS, _PIXELS = 17, 3, (4, 4, 1), 8, 5, 200
_REQUESTS = 1000

_Random = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to get a request wrong, or nearly so.

    Attributes:
      make: draws one: the name of a signature and its inputs.
      refusal: what the error says, None where the request has an answer.
      may_have_answer: whether some of these have one all the same.
    """

    make: Callable[[_Random], tuple[str, dict]]
    refusal: str | None
    may_have_answer: bool = False


def _pixels(random: _Random, rows: int = 3) -> np.ndarray:
    return random.uniform(0, _LEVELS, [rows, *_SHAPE]).astype(np.float32)


def _of_rows(random: _Random, suffixes: tuple[str, ...] = ("",)) -> str:
    return random.choice(["log_prob", "encode", "reconstruct_error"]) + random.choice(suffixes)


def _with_entry(value: Callable[[_Random], float]) -> Callable[[_Random], tuple[str, dict]]:
    """Images of which one entry is such a value."""

    def make(random: _Random) -> tuple[str, dict]:
        images = _pixels(random)
        images[tuple(random.integers(0, images.shape))] = value(random)
        return _of_rows(random), {"images": images}

    return make


def _shape(random: _Random) -> tuple[str, dict]:
    shape = list(_SHAPE)
    shape[random.integers(3)] += random.choice([-1, 1, 5])
    return _of_rows(random), {"images": np.ones([2, *shape], np.float32)}


def _rank(random: _Random) -> tuple[str, dict]:
    rank = random.choice([0, 1, 2, 3, 5])
    return _of_rows(random), {"images": np.ones([*_SHAPE, 2, 2][:rank], np.float32)}


def _type(random: _Random) -> tuple[str, dict]:
    images = _pixels(random)
    given = [images.astype(dtype) for dtype in (np.int32, np.uint8, np.float64, np.float16, bool)]
    given.append(images.astype(str))
    return _of_rows(random), {"images": given[random.integers(len(given))]}


def _type_of_integers(random: _Random) -> tuple[str, dict]:
    dtype = random.choice([np.int32, np.int64, np.float32])
    return _of_rows(random, ("_uint8",)), {"images": _pixels(random).astype(dtype)}


def _level(random: _Random) -> tuple[str, dict]:
    images = _pixels(random).astype(np.uint8)
    images[tuple(random.integers(0, images.shape))] = random.integers(_LEVELS, 256)
    return _of_rows(random, ("_uint8",)), {"images": images}


def _no_rows(random: _Random) -> tuple[str, dict]:
    name = _of_rows(random, ("", "_uint8"))
    dtype = np.uint8 if name.endswith("_uint8") else np.float32
    return name, {"images": np.zeros([0, *_SHAPE], dtype)}


def _drawn(**changes: Callable[[_Random], object]) -> Callable[[_Random], tuple[str, dict]]:
    def make(random: _Random) -> tuple[str, dict]:
        inputs = {"count": np.int32(2), "seed": np.int32([1, 2]), "temperature": np.float32(1)}
        return "sample", inputs | {name: value(random) for name, value in changes.items()}

    return make


def _decoded(make_latents: Callable[[_Random], np.ndarray]) -> Callable[[_Random], tuple[str, dict]]:
    return lambda random: ("decode", {"latents": make_latents(random).astype(np.float32)})


def _side(random: _Random) -> np.ndarray:
    height, width = random.choice([(3, 4), (4, 5), (1, 2), (2, 7), (0, 4)])
    return np.zeros([1, height, width, 1])


def _bad_latents(random: _Random) -> np.ndarray:
    latents = random.normal(size=[2, *_SHAPE])
    latents[tuple(random.integers(0, latents.shape))] = random.choice([np.nan, np.inf, -np.inf])
    return latents


def _too_many_rows(random: _Random) -> tuple[str, dict]:
    name, rows = _of_rows(random, ("", "_uint8")), _ROWS + random.integers(1, 100)
    return name, {"images": np.ones([rows, *_SHAPE], np.uint8 if name.endswith("_uint8") else np.float32)}


def _too_many_pixels(random: _Random) -> np.ndarray:
    side = 2 * random.integers(8, 40)
    return np.zeros([random.integers(0, _ROWS + 1), side, side, 1])


def _missing(random: _Random) -> tuple[str, dict]:
    name, inputs = _drawn()(random)
    del inputs[random.choice(["count", "seed"])]
    return name, inputs


def _unknown(random: _Random) -> tuple[str, dict]:
    return _of_rows(random), {"images": _pixels(random), "image": _pixels(random)}


def _beyond(random: _Random) -> float:
    return random.choice([-1, 1]) * 10.0 ** random.uniform(2, 38)


_SAYS_COUNT = r"expected a count in 1 \.\.\. 8 \(max_samples\), got"
_SAYS_RANGE = r"expected pixels in \[0, 17\), got in row"

KINDS = {
    "NaN among the pixels": Kind(_with_entry(lambda random: np.nan), _SAYS_RANGE),
    "an infinite pixel": Kind(_with_entry(lambda random: random.choice([-np.inf, np.inf])), _SAYS_RANGE),
    "a pixel far outside the range": Kind(_with_entry(_beyond), _SAYS_RANGE),
    "a pixel at the very end of the range": Kind(
        _with_entry(lambda random: random.choice([0, np.nextafter(np.float32(_LEVELS), 0, dtype=np.float32)])), None
    ),
    "an integer that is no level": Kind(_level, r"expected pixels in 0 \.\.\. 16, got"),
    "images of another shape": Kind(_shape, "images"),
    "images of another rank": Kind(_rank, "images"),
    "images of another type": Kind(_type, "float"),
    "no integers for a signature of integers": Kind(_type_of_integers, "uint8"),
    "no images at all": Kind(_no_rows, None),
    "more rows than the limit": Kind(_too_many_rows, r"expected at most 5 rows \(max_rows\), got"),
    "more latents than the limit": Kind(
        _decoded(lambda random: np.zeros([_ROWS + random.integers(1, 100), 2, 2, 1])),
        r"expected at most 5 rows \(max_rows\), got",
    ),
    "more pixels than the limit": Kind(
        _decoded(_too_many_pixels), r"expected at most 200 pixels of latents \(max_pixels\), got"
    ),
    "an input left out": Kind(_missing, "count|seed"),
    "an input too many": Kind(_unknown, "image"),
    "a count of 0 or less": Kind(_drawn(count=lambda random: np.int32(-random.integers(0, 2**31))), _SAYS_COUNT),
    "a count above the limit": Kind(
        _drawn(count=lambda random: np.int32(random.integers(_MOST + 1, 2**31))), _SAYS_COUNT
    ),
    "counts instead of a count": Kind(_drawn(count=lambda random: np.int32([1, 2])), "count"),
    "a count of another type": Kind(_drawn(count=lambda random: random.choice([2.0, 2.5])), "int32"),
    "a seed of another shape": Kind(_drawn(seed=lambda random: np.zeros(random.choice([0, 1, 3]), np.int32)), "seed"),
    "a seed of another type": Kind(_drawn(seed=lambda random: np.float32([1, 2])), "int32"),
    "a seed that is a number": Kind(_drawn(seed=lambda random: np.int32(random.integers(100))), "seed"),
    "a temperature below 0 or not finite": Kind(
        _drawn(temperature=lambda random: np.float32(random.choice([-1, -1e-3, np.nan, np.inf]))),
        "expected a temperature of 0 or more, got",
    ),
    "a very high temperature": Kind(
        _drawn(temperature=lambda random: np.float32(10.0 ** random.uniform(0, 38))),
        "expected latents of finite events, got",
        may_have_answer=True,
    ),
    "latents that are not finite": Kind(_decoded(_bad_latents), "expected finite latents, got"),
    "latents of a size the flow does not take": Kind(
        _decoded(_side), "expected a height and width that are multiples of 2, got"
    ),
    "latents of other channels": Kind(_decoded(lambda random: np.zeros([1, 4, 4, random.integers(2, 5)])), "latents"),
    "latents of another size": Kind(
        _decoded(lambda random: random.normal(size=[2, *2 * random.integers(1, 5, size=2), 1])), None
    ),
}


class RequestsTest(absltest.TestCase):
    def test_a_thousand(self):
        distribution = registry.randomize(nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=2, width=2, blocks=0))
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        serving.save(distribution, path, max_samples=_MOST, max_rows=_ROWS, max_pixels=_PIXELS)
        signatures = tf.saved_model.load(path).signatures
        random = np.random.default_rng(0)
        outcomes = {name: {"answered": 0, "refused": 0} for name in KINDS}
        for i in range(_REQUESTS):
            name = list(KINDS)[i % len(KINDS)]
            kind = KINDS[name]
            signature, inputs = kind.make(random)
            try:
                outputs = signatures[signature](**{key: tf.constant(value) for key, value in inputs.items()})
            except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
                self.assertIsNotNone(kind.refusal, f"{name}: {signature} {inputs}: {error}")
                self.assertRegex(str(error), kind.refusal, name)
                outcomes[name]["refused"] += 1
                continue
            self.assertTrue(kind.refusal is None or kind.may_have_answer, f"{name}: {signature} {inputs}: {outputs}")
            for output in outputs.values():
                self.assertTrue(np.all(np.isfinite(output)), f"{name}: {signature} {inputs}: {outputs}")
            outcomes[name]["answered"] += 1
        self.assertEqual(sum(sum(counts.values()) for counts in outcomes.values()), _REQUESTS)
        width = max(map(len, outcomes))
        print(*(f"{name:{width}}  {counts}" for name, counts in outcomes.items()), sep="\n")


class PageTest(absltest.TestCase):
    def test_has_the_table(self):
        page = (pathlib.Path(__file__).parents[2] / "docs" / "serving.md").read_text()
        outcomes = {
            name: "answered or refused" if kind.may_have_answer else "refused" if kind.refusal else "answered"
            for name, kind in KINDS.items()
        }
        rows = re.findall(r"^\| (.*) \| ((?:answered|refused).*) \|$", page, re.MULTILINE)
        self.assertEqual(dict(rows), outcomes)


class InvalidRowsTest(absltest.TestCase):
    def test_can_be_minus_infinity_for_themselves_alone(self):
        norm = nvp.bijectors.BatchNorm(1, mask=nvp.bijectors.Checkerboard(parity=0))
        flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(_LEVELS), norm])
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        serving.save(nvp.FlowDistribution(flow, _SHAPE), path, invalid_rows="minus_inf")
        signatures = tf.saved_model.load(path).signatures
        images = _pixels(np.random.default_rng(0), 4)
        expected = signatures["log_prob"](images=tf.constant(images))["log_prob"].numpy()
        images[1, 0, 0, 0], images[2, 3, 3, 0] = np.nan, 1e9
        expected[1:3] = -np.inf
        answers = signatures["log_prob"](images=tf.constant(images))
        np.testing.assert_allclose(answers["log_prob"], expected, rtol=1e-6)
        self.assertTrue(np.all(answers["bits_per_dim"][1:3] == np.inf))
        integers = tf.constant(np.clip(np.nan_to_num(images), 0, 16).astype(np.uint8))
        expected = signatures["log_prob_uint8"](images=integers)["log_prob"].numpy()
        expected[3] = -np.inf
        integers = tf.tensor_scatter_nd_update(integers, [[3, 0, 0, 0]], tf.constant([17], tf.uint8))
        answers = signatures["log_prob_uint8"](images=integers)["log_prob"]
        np.testing.assert_allclose(answers, expected, rtol=1e-6)
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, r"expected pixels in 0 \.\.\. 16, got"):
            signatures["encode_uint8"](images=integers)
        # Of latents there is none for such a row.
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, r"got in row\] \[1\]"):
            signatures["encode"](images=tf.constant(images))

    def test_nor_does_a_bad_label_or_context_spoil_others(self):
        distribution = registry.randomize(
            nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=0, context_size=3)
        )
        images = tf.constant(_pixels(np.random.default_rng(0), 4))
        folder = self.enterContext(tempfile.TemporaryDirectory())
        expected = distribution.log_prob(images, context=tf.one_hot([0, 1, 2, 0], 3)).numpy()
        expected[[1, 2]] = -np.inf
        for name, values, size in (
            ("labels", tf.constant([0, 3, -1, 0]), 3),
            ("context", tf.constant([[1, 0, 0], [np.nan, 0, 0], [0, np.inf, 0], [1, 0, 0]], tf.float32), 3),
        ):
            path = os.path.join(folder, name)
            settings = {"classes": size} if name == "labels" else {"context_size": size}
            serving.save(distribution, path, invalid_rows="minus_inf", **settings)
            answer = tf.saved_model.load(path).signatures["log_prob"](images=images, **{name: values})
            np.testing.assert_allclose(answer["log_prob"], expected, rtol=1e-4)


class EdgesTest(absltest.TestCase):
    def test_what_is_not_finite_in_single_precision_is_refused(self):
        flow = nvp.bijectors.BatchNorm(2, dtype="float64")
        flow.moving_variance.assign([1e-4, 1e-4])
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        serving.save(nvp.FlowDistribution(flow, [2], dtype=tf.float64), path)
        signatures = tf.saved_model.load(path).signatures
        vectors = tf.constant([[3e37, 1.0]])
        for name in ("log_prob", "encode"):
            with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "expected finite events, got in row"):
                signatures[name](vectors=vectors)

    def test_no_rows_of_a_huge_image_are_refused(self):
        flow = nvp.bijectors.Chain([nvp.bijectors.DequantizedLogit(_LEVELS)])
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        serving.save(nvp.FlowDistribution(flow, _SHAPE), path)
        decode = tf.saved_model.load(path).signatures["decode"]
        message = r"expected at most 16384 pixels of latents \(max_pixels\), got.*268435456"
        with self.assertRaisesRegex(tf.errors.InvalidArgumentError, message):
            decode(latents=tf.zeros([0, 2**14, 2**14, 1]))


class ThreadsTest(parameterized.TestCase):
    def test_a_hundred_get_what_one_gets(self):
        distribution = registry.randomize(nvp.real_nvp(event_shape=_SHAPE, levels=_LEVELS, scales=1, width=2, blocks=0))
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "1")
        serving.save(distribution, path)
        signatures = tf.saved_model.load(path).signatures

        def ask(i: int) -> list[np.ndarray]:
            drawn = signatures["sample"](
                count=tf.constant(1 + i % 3), seed=tf.constant([i, 0]), temperature=tf.constant(1.0)
            )
            answers = [drawn["images"], signatures["log_prob"](images=drawn["images"])["log_prob"]]
            answers.append(signatures["log_prob_uint8"](images=drawn["pixels"])["log_prob"])
            return [answer.numpy() for answer in answers]

        serial = [ask(i) for i in range(100)]
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            for expected, found in zip(serial, pool.map(ask, range(100)), strict=True):
                for one, other in zip(expected, found, strict=True):
                    np.testing.assert_array_equal(one, other)


if __name__ == "__main__":
    absltest.main()
