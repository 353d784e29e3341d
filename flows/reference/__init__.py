"""Small tables that the trips are joined with."""
