"""Ways of doing the same thing: a module each, with a `run` that is given paths."""
