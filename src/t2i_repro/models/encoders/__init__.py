"""Text and image encoders, classifiers and their backbones."""
