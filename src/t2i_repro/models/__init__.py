"""The kit of networks; ``build`` composes them from a system's description."""
