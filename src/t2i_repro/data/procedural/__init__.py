"""Procedural pictures and captions that describe them, and their writers in the files of each layout."""
