"""Makes transfers durable: the one way to start one, wait for it, retry it, and take over a dead replica's."""

from app.engine.engine import Engine, NotTaking, Outcome
from app.engine.operations import NoRecord, Operations

__all__ = ["Engine", "NoRecord", "NotTaking", "Operations", "Outcome"]
