"""Every recipe in configs/train can be read: its network, its losses, and what it says of its data."""

from __future__ import annotations

import pytest

from recon.files import configs_folder
from recon.models.presets import load_preset
from recon.train.config import config_names, read_config
from recon.train.data.crops import sample_size
from recon.train.data.settings import read_settings
from recon.train.terms import weights_of


def test_the_recipes_are_there() -> None:
    assert {"da1-student", "da2-metric", "da3-any-view", "finetune-scene", "tiny"} <= set(config_names())
    assert (configs_folder() / "train" / "tiny.yaml").is_file()


@pytest.mark.parametrize("name", config_names())
def test_a_recipe_says_what_can_be_done(name: str) -> None:
    config = read_config(name)
    weights = weights_of(load_preset(config.main.network), config.losses)
    settings = read_settings(config.data, of=name)
    unlabeled = [one for one in settings.sets if one.labels == "teacher"]
    assert bool(unlabeled) == ("pseudo_label" in weights and bool(config.losses))
    options = settings.options
    for aspect in options.aspect:
        for views in options.views:
            height, width = sample_size(options.process_res, aspect, views, options.patches)
            assert max(height, width) > 0.9 * (options.process_res - 14)  # the budget holds samples at their full size
    if name == "da1-student":
        labeled = sum(one.weight for one in settings.sets if one.labels == "own")
        assert sum(one.weight for one in unlabeled) == 2 * labeled
