"""docker/make_env.py, imported by path: `docker` is also the name of a library."""

import importlib.util
from pathlib import Path
from typing import Any

_PATH = Path(__file__).parents[2] / "docker" / "make_env.py"
_SPEC = importlib.util.spec_from_file_location("make_env", _PATH)
assert _SPEC and _SPEC.loader
make_env: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_env)
