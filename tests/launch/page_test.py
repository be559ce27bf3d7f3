"""HTML pages."""

import matplotlib.figure
from absl.testing import absltest

from launch import page
from tests.launch import pages

_NAME = "<b>A & \"B\"</b> 'C'"


class PageTest(absltest.TestCase):
    def test_every_text_is_as_it_was_given(self):
        png = page.drawn(matplotlib.figure.Figure(figsize=(1, 2)))
        parts = [page.heading(_NAME), page.text(_NAME, "result"), page.code(_NAME)]
        parts += [page.table((_NAME, _NAME), [(_NAME, _NAME)]), page.beside(page.picture(png, _NAME, _NAME))]
        text = page.page(_NAME, parts)
        found = pages.Page(text)
        self.assertEqual(found.headings, [_NAME, _NAME])
        self.assertEqual(found.words, [_NAME, _NAME, _NAME])
        self.assertEqual(found.rows, [[_NAME, _NAME], [_NAME, _NAME]])
        self.assertEqual({name: picture.shape[:2] for name, picture in found.pictures.items()}, {_NAME: (300, 150)})
        self.assertNotIn("<b>", text)

    def test_only_long_words_are_broken(self):
        cells = ("of some words", "-3.9691", "f" * 20, "f" * 21, f"one of {'f' * 40}")
        table = page.table(cells, [cells])
        self.assertEqual(table.count('class="long"'), 4)
        for cell in cells[3:]:
            self.assertIn(f'<td class="long">{cell}</td>', table)


if __name__ == "__main__":
    absltest.main()
