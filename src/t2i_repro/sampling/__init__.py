"""Images from finished runs."""
