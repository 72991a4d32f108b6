"""Text and image encoders and the convolutional trunks they stand on; ``training`` trains them."""
