"""Artefacts and their identity, records, configuration, schemas. Imports nothing of ours but errors."""
