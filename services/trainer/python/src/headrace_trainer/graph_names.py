"""Names that the graph uses itself; a string feature becomes a graph input of its own name and must avoid them."""

DENSE_INPUT = "features"
LABEL_OUTPUT = "label"
PROBABILITIES_OUTPUT = "probabilities"
VALUE_OUTPUT = "value"
INTERNAL_PREFIX = "_hr."
