"""MAF with 5 layers on the five tables of arXiv 1705.07057, table 1."""

from typing import Any

from tfp_realnvp.presets.preset import Preset
from tfp_realnvp.presets.recipe import Recipe

# Of tables that no paper has a recipe for: fields of `Recipe`, found by `benchmarks.steadiness`.
TABLE_RECIPE: dict[str, Any] = dict(learning_rate=2e-3, schedule="cosine", clip_norm=10.0, ema=0.99)

power = Preset(
    dataset="power",
    event_shape=(6,),
    flow="maf",
    options=dict(layers=5, hidden_units=(100, 100)),
    recipe=Recipe(batch_size=100, learning_rate=1e-4, epochs=30),
    published=0.14,
    notes="The paper's MAF (5): two hidden layers, Adam at 1e-4 on batches of 100. Its batch norm between layers is "
    "left out, as is its weight decay of 1e-6, and gas has tanh there; it stops when validation has not improved for "
    "30 epochs: --patience=30.",
)
gas = power.replace(dataset="gas", event_shape=(8,), epochs=60, published=9.07)
_wide = power.replace(hidden_units=(512, 512))
hepmass = _wide.replace(dataset="hepmass", event_shape=(21,), epochs=100, published=-17.70)
miniboone = _wide.replace(dataset="miniboone", event_shape=(43,), epochs=200, published=-11.75)
bsds300 = _wide.replace(dataset="bsds300", event_shape=(63,), epochs=50, published=155.69)
