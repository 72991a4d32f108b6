"""Declarations of text encoders, one to a module (models/text_encoder.py). Needs no torch."""
