"""Contenders of the benchmarks: one module each, with a function `run(*paths)`."""
