"""Text conditioning, caption sampling, and images from finished runs."""
