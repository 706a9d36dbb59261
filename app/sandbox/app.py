"""The stand-in as one ASGI app."""

from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from app.sandbox.control import control_router
from app.sandbox.faults import Faults
from app.sandbox.store import Store
from app.sandbox.v2 import V2, Account

SANDBOX_PUBLIC_KEY = "pubkey-sandbox"
SANDBOX_PRIVATE_KEY = "key-sandbox"
SANDBOX_STORE_HASH = "270392"

_ROWS_SHOWN = 100
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}


def create_sandbox(
    *,
    public_key: str = SANDBOX_PUBLIC_KEY,
    private_key: str = SANDBOX_PRIVATE_KEY,
    store_hash: str = SANDBOX_STORE_HASH,
) -> FastAPI:
    """Build a stand-in with its own memory, to serve alone or to mount under a prefix.

    Its `state.store` and `state.faults` are for callers in the same process and event loop.
    """
    app = FastAPI(title="Stamped.io sandbox", openapi_url=None)
    store, faults = Store(), Faults()
    app.state.store, app.state.faults = store, faults
    app.include_router(control_router(store, faults))
    app.router.routes.extend(V2(Account(public_key, private_key, store_hash), store, faults).routes())
    templates = Jinja2Templates(directory=Path(__file__).parent / "templates")

    @app.get("/", response_model=None)
    async def page(request: Request) -> Response:
        customers = store.customers()
        context = {
            "root": request.scope.get("root_path", "").rstrip("/"),
            "style": store.style,
            "total": len(customers),
            "customers": [customer.answer() for customer in reversed(customers[-_ROWS_SHOWN:])],
            "faults": faults.active,
            "calls": list(reversed(store.calls))[:_ROWS_SHOWN],
        }
        return templates.TemplateResponse(request, "sandbox.html", context, headers=_PAGE_HEADERS)

    return app
