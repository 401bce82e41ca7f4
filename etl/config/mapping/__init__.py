"""The mapping file, one module a section; ``model.py`` is the whole."""
