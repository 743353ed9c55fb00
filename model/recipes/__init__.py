"""Recipes that come with Seedstream, a TOML file each; `model.training.recipe` reads them."""
