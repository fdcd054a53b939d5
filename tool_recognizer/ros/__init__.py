"""The nodes, and messages on their way out; what they decide is decided in engine and core."""
