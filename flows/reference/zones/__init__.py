"""Names and shapes of the TLC's taxi zones."""
