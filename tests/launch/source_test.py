"""What the programs that read a model share."""

import contextlib
import io
from unittest import mock

from absl.testing import absltest

from launch import source


class ProgressTest(absltest.TestCase):
    def _shown(self, times):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), mock.patch.object(source.time, "monotonic", side_effect=times):
            update = source.progress(100)
            for done in (25, 50, 100):
                update(done)
        return output.getvalue()

    def test_what_is_quick_shows_no_bar(self):
        self.assertEqual(self._shown([0, 0.5, 1, 1.5]), "")
        self.assertEqual(self._shown([0, 0.5, 1, 3]), "")  # The last is the end.

    def test_what_takes_long_shows_one(self):
        shown = self._shown([0, 1, 2.5])
        self.assertIn("50/100", shown)
        self.assertIn("100/100", shown)


if __name__ == "__main__":
    absltest.main()
