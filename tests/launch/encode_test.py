"""`python -m launch.encode`."""

import numpy as np
from absl.testing import absltest

import tfp_realnvp as nvp
from tests.launch import pictures, programs
from tfp_realnvp import data, evaluation


def _read(path):
    with np.load(path) as file:
        return dict(file)


class EncodeTest(pictures.PicturesTest):
    def test_what_is_encoded_decodes_to_itself(self):
        file = self.folder / "six"
        flags = (f"--saved_model={programs.digits()}", f"--data_dir={programs.scratch() / 'data'}")
        result = programs.run("encode", *flags, "--count=6", f"--latents={file}")
        self.assertEqual(result.output.splitlines()[-1], f"Wrote {file}", result.errors)
        found = _read(file)
        self.assertEqual(set(found), {"latents", "images"})
        images = np.concatenate(list(data.load("digits").evaluation_batches("test", 300)))[:6]
        np.testing.assert_array_equal(found["images"], images)
        z = evaluation.encode(pictures.digits(), nvp.dequantize(images, seed=(0, 0), levels=17))
        np.testing.assert_allclose(found["latents"], z, atol=1e-3)
        (path,) = self.run_program("sample", flags[0], f"--latents={file}", "--columns=6", "--seed=3")
        self.assertEqual(path.name, "samples-3-digits-1-columns-6-latents-six.png")
        self.assertGreater(np.mean(self.tiles(path, 1, 6)[0] == pictures.grey(images)), 0.97)

    def test_labels_go_with_their_images(self):
        folder = programs.trained_with_labels()
        file = self.folder / "latents.npz"
        flags = (f"--output_dir={folder}", f"--data_dir={programs.scratch() / 'data'}", f"--latents={file}")
        result = programs.run("encode", *flags, "--split=validation", "--batch_size=77")
        self.assertEqual(result.status, 0, result.errors)
        found = _read(file)
        pixels, labels = zip(*data.load("digits", labels=True).evaluation_batches("validation", 100))
        np.testing.assert_array_equal(found["images"], np.concatenate(pixels))
        np.testing.assert_array_equal(found["labels"], np.concatenate(labels))
        self.assertEqual(found["latents"].shape, found["images"].shape)
        (path,) = self.run_program("sample", flags[0], flags[2], "--count=4", "--columns=4")
        self.assertGreater(np.mean(self.tiles(path, 1, 4)[0] == pictures.grey(found["images"][:4])), 0.97)

    def test_vectors(self):
        distribution = nvp.real_nvp(event_shape=(4,), couplings=1, hidden_units=(4,))
        model, rows = self.folder / "vectors", self.folder / "rows.npy"
        nvp.save(distribution, model)
        np.save(rows, np.random.default_rng(0).normal(size=[40, 4]))
        flags = (f"--saved_model={model}", f"--output_dir={self.folder / 'new'}", f"--dataset=npy:{rows}")
        result = programs.run("encode", *flags)
        self.assertEqual(result.status, 0, result.errors)
        (file,) = (self.folder / "new").iterdir()
        self.assertRegex(file.name, r"^latents-test-.*-vectors-dataset-rows\.npy\.npz$")
        found = _read(file)
        self.assertEqual(set(found), {"latents", "vectors"})
        z = distribution.flow.forward_and_log_det(found["vectors"])[0]
        np.testing.assert_allclose(found["latents"], z, rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    absltest.main()
