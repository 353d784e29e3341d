"""Warehouses: tables `dezoomcamp.<color>_rides`, the view `rides`, and lookup tables."""
