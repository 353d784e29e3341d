"""Generated parts of the documentation: `python -m docs.tools`, or `make docs-output`."""
