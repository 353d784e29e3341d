"""Trips, air quality and weather, as published."""
