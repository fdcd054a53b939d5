"""A bag through the engine: the run, its result, and many runs on a cluster; it draws no page."""
