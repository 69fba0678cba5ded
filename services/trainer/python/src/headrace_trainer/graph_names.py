"""Names that the graph uses itself; a string feature becomes a graph input of its own name and must avoid them."""

DENSE_INPUT = "features"
LABEL_OUTPUT = "label"
PROBABILITIES_OUTPUT = "probabilities"
RESERVED_INPUT_NAMES = (DENSE_INPUT, LABEL_OUTPUT, PROBABILITIES_OUTPUT)
INTERNAL_PREFIX = "_hr."
