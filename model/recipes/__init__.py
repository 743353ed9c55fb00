"""Recipes that come with Seedstream, a TOML file each; `model.recipes.recipe` reads them."""
