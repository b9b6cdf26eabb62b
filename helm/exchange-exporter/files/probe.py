"""Ask each address until it answers, for half a minute at most; any answer of a server that refuses
a login counts, as the test has none."""

import ssl
import sys
import time
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

# The certificate is made for the names that people use, not for the Service's.
TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname = False
TRUSTING.verify_mode = ssl.CERT_NONE


def answer(url: str) -> str:
    """Give what a server said; "" while it did not."""
    try:
        with urlopen(url, timeout=5, context=TRUSTING) as reply:
            return f"{reply.status}"
    except HTTPError as error:
        return f"{error.code}" if error.code in (401, 403) else ""
    except (URLError, OSError):
        return ""


end = time.monotonic() + 30
for url in sys.argv[1:]:
    while not (said := answer(url)):
        if time.monotonic() > end:
            sys.exit(f"{url}: no answer")
        time.sleep(1)
    print(f"{url}: {said}")
