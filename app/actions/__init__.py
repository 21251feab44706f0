from app.actions.fleet import Fleet

__all__ = ["Fleet"]
