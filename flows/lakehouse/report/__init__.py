"""A page that shows what is in gold."""
