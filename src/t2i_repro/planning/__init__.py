"""From params.yaml and papers/ to the graph of artefacts. Needs no torch."""
