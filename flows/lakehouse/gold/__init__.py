"""Facts and dimensions, built aside, tested, and published together with silver."""
