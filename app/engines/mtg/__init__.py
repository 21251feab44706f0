"""mtg as an engine."""
