"""How good a model is on labelled examples, and whether another one is better; it fits nothing."""
