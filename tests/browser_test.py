"""The browser that tests of pages share."""

import pathlib
import tempfile

from absl.testing import absltest, parameterized

from tests import browser

_PAGE = '<!DOCTYPE html><meta name="viewport" content="width=device-width"><title>a page</title>'


@browser.needed
class BrowserTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.file = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory())) / "page.html"

    def test_evaluates(self):
        self.file.write_text(_PAGE)
        page = browser.Page(self.file, 1200)
        self.assertEqual(page.evaluate("document.title"), "a page")
        self.assertEqual(page.evaluate("new Promise(done => setTimeout(() => done([1, 2]), 10))"), [1, 2])
        with self.assertRaisesRegex(AssertionError, "nothing is not defined"):
            page.evaluate("nothing")

    @parameterized.parameters((400, 300, False), (400, 500, True), (1200, 1100, False), (1200, 1300, True))
    def test_sees_what_scrolls_sideways(self, width, content, scrolls):
        self.file.write_text(f'{_PAGE}<div style="width: {content}px">wide</div>')
        self.assertEqual(browser.Page(self.file, width).scrolls_sideways(), scrolls)

    def test_a_phone_zooms_out_where_a_page_does_not_say_its_width(self):
        self.file.write_text("<!DOCTYPE html><title>a page</title>text")
        self.assertTrue(browser.Page(self.file, 400).scrolls_sideways())
        self.assertFalse(browser.Page(self.file, 1200).scrolls_sideways())

    def test_prefers_dark_pages_where_it_is_to(self):
        self.file.write_text(_PAGE)
        for dark in (False, True):
            page = browser.Page(self.file, 400, dark=dark)
            self.assertEqual(page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"), dark)

    def test_draws(self):
        self.file.write_text(_PAGE)
        self.assertStartsWith(browser.Page(self.file, 400).screenshot(), b"\x89PNG")


if __name__ == "__main__":
    absltest.main()
