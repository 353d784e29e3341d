"""Commands that are run by path; a package so that their modules can import each other."""
