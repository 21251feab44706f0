"""A value that the declaration can't hold."""

from app.messages.errors import Coded


class InvalidValue(Coded, ValueError):
    """What was typed, or stands in the file, is not allowed."""
