"""Which figures of papers stand beside a run's own."""

from absl.testing import absltest

from launch import results
from tfp_realnvp import presets


class PublishedTest(absltest.TestCase):
    def test_of_the_papers_data_and_flow(self):
        cifar10, power = presets.get("cifar10"), presets.get("power")
        self.assertEqual(results.published(cifar10, cifar10), {"Real NVP as published": 3.49})
        self.assertEqual(results.published(power, power), {"MAF as published": power.published})
        wide = cifar10.replace(width=96)
        self.assertEqual(results.published(wide, cifar10), {"Real NVP as published": 3.49})

    def test_of_other_data_or_another_flow_there_is_none(self):
        for name, change in (
            ("cifar10", dict(dataset="folder:pngs")),
            ("cifar10", dict(flow="glow")),
            ("power", dict(dataset="csv:wine.csv")),
            ("mnist", {}),
        ):
            papers = presets.get(name)
            self.assertEqual(results.published(papers.replace(**change), papers), {})


if __name__ == "__main__":
    absltest.main()
