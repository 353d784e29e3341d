"""Where data comes from: the TLC's site, a mirror, or a folder."""
