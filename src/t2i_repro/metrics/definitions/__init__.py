"""One module per metric: its declaration and how it reads its inputs."""
