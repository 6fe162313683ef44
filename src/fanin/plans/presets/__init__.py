"""Presets: recipes for whole models, as data. `fanin.plan(model, batch, rules="gpt2")`; `fanin.presets()` lists them."""

from fanin.plans.presets.choice import chosen, plan_from_recipe
from fanin.plans.presets.matching import plan_from_preset
from fanin.plans.presets.records import Preset, Recipe
from fanin.plans.presets.table import find, is_preset, presets

__all__ = ["Preset", "Recipe", "chosen", "find", "is_preset", "plan_from_preset", "plan_from_recipe", "presets"]
