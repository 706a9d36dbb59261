"""Makes transfers durable: the one way to start one, wait for it, retry it, and take over a dead replica's."""

from app.engine.callers import NotTaking, Outcome
from app.engine.engine import Engine
from app.engine.operations import Flow, NoRecord, Operations

__all__ = ["Engine", "Flow", "NoRecord", "NotTaking", "Operations", "Outcome"]
