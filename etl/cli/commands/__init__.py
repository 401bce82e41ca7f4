"""The commands, one module a family; ``etl/cli/registry.py`` lists them."""
