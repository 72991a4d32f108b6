"""The raw layouts that can be read, one module each (docs/adding-a-dataset.md)."""
