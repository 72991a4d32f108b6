"""Checks of the papers by computation: claims against numbers, numbers against each other. Needs no torch."""
