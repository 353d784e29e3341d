"""Cleaned trips and hours, built aside and tested."""
