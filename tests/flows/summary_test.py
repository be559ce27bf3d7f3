import tensorflow as tf
import tensorflow_probability as tfp
from absl.testing import absltest

import tfp_realnvp as nvp

nvb = nvp.bijectors


def _rows(distribution):
    """The rows between the heading and the total, as lists of words."""
    lines = nvp.summary(distribution).splitlines()
    return [" ".join(line.split()) for line in lines[2:-1]]


class SummaryTest(absltest.TestCase):
    def test_an_image_flow(self):
        distribution = nvp.real_nvp(event_shape=(4, 4, 1), scales=2, width=2, blocks=1, levels=17, rho=0.5)
        channel = [
            "Coupling channels, first half kept: affine, ResidualNetwork 1 blocks x 4 2x2x4 531",
            "BatchNorm rho=0.5 2x2x4",
        ]
        self.assertEqual(
            _rows(distribution),
            [
                "DequantizedLogit 17 levels, alpha=0.05 4x4x1",
                "Coupling checkerboard 1: affine, ResidualNetwork 1 blocks x 2 4x4x1 164",
                "BatchNorm rho=0.5 4x4x1",
                "Coupling checkerboard 0: affine, ResidualNetwork 1 blocks x 2 4x4x1 164",
                "BatchNorm rho=0.5 4x4x1",
                "Coupling checkerboard 1: affine, ResidualNetwork 1 blocks x 2 4x4x1 164",
                "BatchNorm rho=0.5 4x4x1",
                "Squeeze channel_major 2x2x4",
                *channel,
                channel[0].replace("first", "second"),
                channel[1],
                *channel,
                "Inverse of Squeeze channel_major 4x4x1",
                "Squeeze diagonal 2x2x4",
                "Split: the first half continues 2x2x4",
                *(
                    row
                    for parity in (1, 0, 1, 0)
                    for row in (
                        f"Coupling checkerboard {parity}: affine, ResidualNetwork 1 blocks x 4 2x2x2 567",
                        "BatchNorm rho=0.5 2x2x2",
                    )
                ),
                "Inverse of Squeeze diagonal 4x4x1",
            ],
        )

    def test_within_a_line_length(self):
        distribution = nvp.real_nvp(event_shape=(4, 4, 1), scales=2, width=2, blocks=1)
        lines = nvp.summary(distribution, 80).splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)
        first = lines.index("Coupling channels, first half kept: affine,           2x2x4                  531")
        self.assertEqual(lines[first + 1], "  ResidualNetwork 1 blocks x 4")
        self.assertIn("    ResidualNetwork 1 blocks x 4", lines)  # Within a split.
        words = " ".join(nvp.summary(distribution).split())
        self.assertCountEqual(" ".join(lines[2:]).split(), words.partition("- ")[2].split())

    def test_the_parameters_add_up(self):
        distribution = nvp.real_nvp(event_shape=(4, 4, 1), scales=2, width=2, blocks=1)
        rows = [row.split() for row in _rows(distribution)]
        total = sum(int(row[-1].replace(",", "")) for row in rows if "Coupling" in row)
        self.assertEqual(total, nvp.trainable_parameters(distribution))
        self.assertEqual(nvp.summary(distribution).splitlines()[-1], f"{total:,} trainable parameters")

    def test_a_splits_layers_are_indented(self):
        distribution = nvp.real_nvp(event_shape=(4, 4, 1), scales=2, width=2, blocks=1)
        lines = nvp.summary(distribution).splitlines()[2:-1]
        start = next(i for i, line in enumerate(lines) if line.startswith("Split"))
        indented = [i for i, line in enumerate(lines) if line.startswith("  ")]
        self.assertEqual(indented, list(range(start + 1, start + 9)))
        self.assertLen({len(line) for line in lines}, 1)

    def test_other_layers(self):
        affine = nvb.Coupling(nvp.transformers.Affine(), lambda kept: tf.concat([kept, kept], -1), nvb.Alternating(0))
        flow = nvb.Chain([affine, nvb.Chain([nvb.BatchNorm(2)]), tfp.bijectors.Scale(tf.Variable([2.0, 3.0]))])
        self.assertEqual(
            _rows(nvp.FlowDistribution(flow, [2])),
            ["Coupling alternating 0: affine, callable 2 1", "BatchNorm 2", "scale 2 2"],
        )

    def test_a_vector_flow(self):
        distribution = nvp.real_nvp(event_shape=[3], couplings=2, hidden_units=(4,))
        # To one changed entry from two kept, and to two from one.
        self.assertEqual(
            _rows(distribution),
            [
                "odd_entries_first 3",
                "Coupling second half kept: affine, MLP 3 23",
                "Coupling first half kept: affine, MLP 3 29",
            ],
        )


if __name__ == "__main__":
    absltest.main()
