"""Tells people that the verdict turned bad, and that it is over. Never in the way of a transfer or of a stop."""

from app.alerts.alerts import Alerts
from app.alerts.sending import Sent

__all__ = ["Alerts", "Sent"]
