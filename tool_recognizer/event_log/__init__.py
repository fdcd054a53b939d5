"""The events of a run on disk, in their order, with their pictures; it decides nothing."""
