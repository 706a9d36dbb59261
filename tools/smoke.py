"""Does a service on this machine do its job? `smoke.py URL WEBHOOK_KEY`.

Ready, a customer created, pages with style. Needs nothing but Python, so that it runs beside an installed wheel
and inside the image. The service's Stamped.io has to be a sandbox.
"""

import json
import re
import sys
import time
from http import HTTPStatus
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_START_SECONDS = 30.0
_WEBHOOK = {
    "notifications": [
        {
            "id": "150713",
            "scope": "customer/created",
            "customer": {"id": 150713, "customer_number": "C-1001", "email_address": "ada@example.com"},
        }
    ]
}


def fetch(url: str, body: object = None, **headers: str) -> tuple[int, str]:
    """Status and text; 0 where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, headers)  # noqa: S310 - http on this machine
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return answer.status, answer.read().decode()
    except HTTPError as refused:
        return refused.code, refused.read().decode(errors="replace")
    except (URLError, OSError):
        return 0, ""


def main(url: str, key: str) -> int:
    """0 where all of it works; else says what does not."""
    end = time.monotonic() + _START_SECONDS
    while fetch(f"{url}/readyz")[0] != HTTPStatus.OK and time.monotonic() < end:
        time.sleep(0.2)
    found = {"/readyz": fetch(f"{url}/readyz")}
    bearer = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    found["a webhook"] = status, text = fetch(f"{url}/webhooks/customers", _WEBHOOK, **bearer)
    if status == HTTPStatus.OK and json.loads(text)["results"][0]["action"] != "created":
        found["a webhook"] = 0, text
    found["/"] = _, page = fetch(f"{url}/", Accept="text/html")
    sheets = re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js|svg)[^"]*)"', page)
    found |= {each: fetch(f"{url}{each}") for each in ("/docs", "/openapi.json", "/metrics", *sheets)}
    wrong = {what: answer for what, answer in found.items() if answer[0] != HTTPStatus.OK or not answer[1]}
    for what, (code, said) in wrong.items():
        sys.stderr.write(f"{what}: {code} {said[:500]}\n")
    if not any(".css" in each for each in sheets):
        sys.stderr.write(f"the page names no style: {page[:500]}\n")
        return 1
    if not wrong:
        sys.stdout.write(f"ready, a customer created, {len(sheets)} files of the page\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
