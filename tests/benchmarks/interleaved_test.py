"""Candidates take turns in processes of their own; one that fails does not stop the others."""

import os
import pathlib
import tempfile

from absl.testing import absltest

from benchmarks import interleaved
from benchmarks.interleaved import Candidate, Result, Work

_MIB = 2**20


def writer(path: str, letter: str) -> Work:
    """Appends a letter at each run."""

    def run() -> None:
        with open(path, "a") as file:
            file.write(letter)

    return Work(run, report=lambda: {"process": os.getpid()})


def holder(mebibytes: int, gradients: int = 0) -> Work:
    """Holds that much memory, but only while it runs."""
    return Work(lambda: len(b"1" * (mebibytes * _MIB)), gradient_bytes=gradients * _MIB)


def program(kept: int, held: int) -> Work:
    """The first run, large or small, keeps something."""
    memory = []

    def small_run() -> None:
        if not memory:
            memory.append(b"1" * (kept * _MIB))

    return Work(lambda: len(b"1" * (held * _MIB)), small_run=small_run)


def broken() -> Work:
    raise ValueError("no such thing")


def stops_at_the_third_run() -> Work:
    runs = iter(range(2))
    return Work(lambda: next(runs))


def _candidate(name: str, **settings: object) -> Candidate:
    return Candidate(name, f"tests.benchmarks.interleaved_test:{name.split()[0]}", settings)


class InterleavedTest(absltest.TestCase):
    def test_candidates_take_turns_in_processes_of_their_own(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "runs")
            candidates = [_candidate(f"writer {letter}", path=path, letter=letter) for letter in "ab"]
            results = interleaved.measure(candidates, repeats=2)
            # Each a first time, and in two rounds twice.
            self.assertEqual(pathlib.Path(path).read_text(), "ab" + 2 * "aabb")
        self.assertLen({result.facts["process"] for result in results.values()} | {os.getpid()}, 3)
        for result in results.values():
            self.assertIsNone(result.error)
            self.assertLen(result.seconds, 2)

    def test_memory_is_that_of_a_run(self):
        candidates = [
            _candidate("holder small", mebibytes=40),
            _candidate("holder large", mebibytes=120),
            _candidate("holder of gradients", mebibytes=120, gradients=30),
        ]
        small, large, of_gradients = interleaved.measure(candidates, repeats=1).values()
        self.assertAlmostEqual(small.training_bytes / _MIB, 40, delta=6)
        self.assertAlmostEqual(large.training_bytes / _MIB, 120, delta=6)
        self.assertAlmostEqual(of_gradients.training_bytes / _MIB, 90, delta=6)

    def test_activations_are_what_a_run_takes_more_than_a_small_one(self):
        (result,) = interleaved.measure([_candidate("program", kept=30, held=80)], repeats=1).values()
        self.assertAlmostEqual(result.training_bytes / _MIB, 110, delta=6)
        self.assertAlmostEqual(result.activation_bytes / _MIB, 80, delta=6)

    def test_a_failure_is_a_result_and_the_others_go_on(self):
        with tempfile.TemporaryDirectory() as folder:
            writes = _candidate("writer", path=os.path.join(folder, "runs"), letter="a")
            candidates = [_candidate("broken"), _candidate("stops_at_the_third_run"), writes]
            results = interleaved.measure(candidates, repeats=2)
        self.assertEqual(results["broken"].error, "ValueError: no such thing")
        self.assertIn("StopIteration", results["stops_at_the_third_run"].error)
        self.assertIsNone(results["writer"].error)
        self.assertLen(results["writer"].seconds, 2)

    def test_refuses_a_name_twice(self):
        with self.assertRaisesRegex(ValueError, "unique names"):
            interleaved.measure([_candidate("broken"), _candidate("broken")], repeats=1)

    def test_a_ratio_is_the_median_of_those_of_the_rounds(self):
        # The machine slows down threefold in the second round.
        mine, other = Result(seconds=[2.0, 6.0, 2.0]), Result(seconds=[1.0, 3.0, 4.0])
        self.assertEqual(mine.ratio(other), 2.0)

    def test_table(self):
        lines = interleaved.table(["name", "s"], [["a", "1.25"], ["bc", "10"]])
        self.assertEqual(lines[:4], ["| name |    s |", "|------|-----:|", "| a    | 1.25 |", "| bc   |   10 |"])


if __name__ == "__main__":
    absltest.main()
