"""Find, check, store and register the flows under flows/; build.py starts it."""
