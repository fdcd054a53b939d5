"""Text for a terminal: what it can show, rows cut to its width, a table that redraws itself."""
