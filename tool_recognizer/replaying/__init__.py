"""A bag through the engine: the run, its result, and runs on a cluster; no page is drawn here."""
