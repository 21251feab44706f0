from app.fleet.errors import LoginBusy, LoginThrottled, Refused, Unfinished
from app.fleet.fleet import Fleet

__all__ = ["Fleet", "LoginBusy", "LoginThrottled", "Refused", "Unfinished"]
