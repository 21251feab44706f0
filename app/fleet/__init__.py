from app.fleet.errors import LoginThrottled, Refused
from app.fleet.fleet import Fleet

__all__ = ["Fleet", "LoginThrottled", "Refused"]
