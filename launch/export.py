"""Write a trained model as a SavedModel, which needs TensorFlow alone to load.

    python -m launch.export --output_dir=runs/digits --export_dir=served/digits/1

Its signatures are `log_prob`, of dequantised pixels, and `sample`; see tfp_realnvp.serving.save.
"""

from __future__ import annotations

from absl import flags

from launch import run
from tfp_realnvp import serving

_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder to write; it must not exist yet.", required=True)


def main() -> None:
    preset = run.trained_preset()
    distribution = run.trained_distribution(preset)
    try:
        serving.save(distribution, _EXPORT_DIR.value, levels=preset.levels)
    except FileExistsError as error:
        raise run.UsageError(str(error)) from error
    print(f"Wrote {_EXPORT_DIR.value}")


if __name__ == "__main__":
    run.start(main)
