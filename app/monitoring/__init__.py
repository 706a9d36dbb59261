"""The web pages for whoever runs the bridge, and what browsers see elsewhere."""

from app.monitoring.browser import Browser, docs_routes
from app.monitoring.rendering import Pages
from app.monitoring.routes import monitoring_routes
from app.monitoring.sessions import Sessions
from app.monitoring.site import Site

__all__ = ["Browser", "Pages", "Sessions", "Site", "docs_routes", "monitoring_routes"]
