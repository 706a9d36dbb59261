"""Behind PgBouncer in transaction mode: everything works, on few connections, and nothing is left in them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.durable.conftest import BridgeFactory
from tests.durable.story import STORY
from tests.durable.support import StandIn, free_port
from tests.durable.test_database_restart import Load

SERVERS = 3  # sessions for all transactions
CONFIGURATION = """
[databases]
{name} = {place}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
server_reset_query =
"""
LEFT = """
SELECT name, setting FROM pg_settings WHERE source = 'session' AND setting <> reset_val
  AND name NOT IN ('application_name', 'client_encoding')
UNION ALL SELECT name, statement FROM pg_prepared_statements
UNION ALL SELECT 'lock', locktype FROM pg_locks WHERE locktype = 'advisory'
"""
USED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def bouncer(postgresql_url: str) -> Iterator[str]:
    """A database's URL by way of PgBouncer. A machine without it fails this test, as nothing else looks at it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.fail("The test of PgBouncer needs it: apt-get install pgbouncer", pytrace=False)
    url, port = make_url(postgresql_url), free_port()
    host = str(url.host or url.query["host"])
    place = f"host={host} port={url.port or 5432} user={url.username}"
    with tempfile.TemporaryDirectory(prefix="bridge-bouncer-") as folder:
        Path(folder).chmod(0o755)
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(CONFIGURATION.format(name=url.database, place=place, port=port, servers=SERVERS))
        running = subprocess.Popen([program, "-q", settings], user=_user(host))  # noqa: S603 - found above
        yield url.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        running.terminate()
        running.wait()


def _user(host: str) -> int | None:
    """It refuses to be root's; and a folder of a socket may be open to its owner only."""
    if os.geteuid() != 0:
        return None
    return Path(host).stat().st_uid if host.startswith("/") else pwd.getpwnam("nobody").pw_uid


async def test_a_service_behind_it_keeps_its_promises_and_no_session(
    bouncer: str, postgresql_url: str, start_bridge: BridgeFactory, stand_in: StandIn
) -> None:
    bridge = await start_bridge(bouncer, **STORY, **stand_in.ipaas)
    load = Load(bridge, stand_in)
    for _ in range(3):
        await load.goes_on()
    with psycopg.connect(postgresql_url) as connection:
        used = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert connection.execute(used).fetchone() == (SERVERS,)
    await load.end(refused=False)
    assert "prepared statement" not in bridge.log_text()
    bridge.kill()
    with psycopg.connect(bouncer, prepare_threshold=None) as connection:
        assert connection.execute(LEFT).fetchall() == []
