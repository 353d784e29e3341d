"""The domain model: colors, their schemas, months, and the view over yellow and green."""
