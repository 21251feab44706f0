from app.actions.fleet import Fleet
from app.control.errors import LoginBusy, LoginThrottled, Refused, Unfinished

__all__ = ["Fleet", "LoginBusy", "LoginThrottled", "Refused", "Unfinished"]
