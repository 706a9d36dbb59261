"""The web pages for whoever runs the bridge: see a transfer, find it, re-run it."""

from app.monitoring.routes import monitoring_routes

__all__ = ["monitoring_routes"]
