"""A Stamped.io V2 stand-in: an ASGI app that keeps customers in memory and fails on request."""

from app.sandbox.app import (
    SANDBOX_PRIVATE_KEY,
    SANDBOX_PUBLIC_KEY,
    SANDBOX_STORE_HASH,
    create_sandbox,
)

__all__ = ["SANDBOX_PRIVATE_KEY", "SANDBOX_PUBLIC_KEY", "SANDBOX_STORE_HASH", "create_sandbox"]
