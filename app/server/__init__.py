"""What stands between a caller's socket and the application: limits, deadlines, and places for callers."""

from app.server.handover import guard_uvicorn
from app.server.observing import Observed
from app.server.places import Places
from app.server.protocol import PLACES

__all__ = ["PLACES", "Observed", "Places", "guard_uvicorn"]
