"""What a backfill has done, in a Prefect variable that exists until everything is done.

Variables live on the server, so that any worker resumes the backfill. A value has at most 5,000
characters, so each chunk is one character.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect.variables import Variable

PENDING, BRONZE, DONE = ".", "b", "d"
"""State of a chunk: nothing is done, bronze is loaded, gold is published."""


class BackfillProgress:
    def __init__(self, name: str, chunks: Sequence[object]) -> None:
        """`name`: made of the parameters; the same ones resume."""
        self.variable = f"backfill_{name}".replace("-", "_")
        found = Variable.get(self.variable)
        self.states = list(found if isinstance(found, str) else PENDING * len(chunks))

    def __getitem__(self, number: int) -> str:
        return self.states[number]

    def __setitem__(self, number: int, state: str) -> None:
        self.states[number] = state
        if set(self.states) == {DONE}:
            Variable.unset(self.variable)
        else:
            Variable.set(self.variable, "".join(self.states), overwrite=True)
