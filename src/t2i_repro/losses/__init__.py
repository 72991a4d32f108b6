"""Training objectives, one function per equation."""
