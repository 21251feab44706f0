"""Standard library only, no other room of this program: what every room may use."""
