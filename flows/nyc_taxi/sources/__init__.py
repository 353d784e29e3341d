"""Sources of the data: the TLC's site, a mirror of it, or a folder."""
