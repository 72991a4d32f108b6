"""Procedural pictures with captions that are true: birds, flowers, scenes. No file and no network is needed."""
