"""Servers from Python packages, for who has none and wants to install none."""
