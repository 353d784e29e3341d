"""The TLC's taxi zones: their names and their shapes."""
