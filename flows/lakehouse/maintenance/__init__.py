"""What the warehouse needs from time to time."""
