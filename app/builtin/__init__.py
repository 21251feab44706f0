"""The built-in engine, a program of its own."""
