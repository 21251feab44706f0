"""Telegram's own MTProxy as an engine: containers that serve 16 keys each."""
