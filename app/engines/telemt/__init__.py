"""telemt as an engine: one program for the links of all users."""
