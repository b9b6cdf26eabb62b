"""The web config file on the running server: TLS, certificates, logins; followed as it changes."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import bcrypt
import pytest

from exporter.clock import SystemClock
from exporter.config import ConfigError
from exporter.web.routes import Request, Response, text_reply
from exporter.web.security import WebSecurity
from exporter.web.server import Server
from tests.runtime.running import wait_until
from tests.web.test_server import Tally

CERTIFICATES = Path(__file__).parents[1] / "http" / "certificates"
VALID, CA = CERTIFICATES / "valid.pem", CERTIFICATES / "ca.pem"
HASHED = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config:\n  cert_file: own.pem\n  key_file: own.pem\n"


async def _hello(request: Request) -> Response:
    return text_reply("hello")


@asynccontextmanager
async def serving(
    folder: Path, text: str, unauthorized: Tally | None = None
) -> AsyncIterator[tuple[Server, Path, list[bool]]]:
    """Serve by this web config, following its file; gives server, file, and what became of it."""
    file, said = folder / "web.yml", list[bool]()
    shutil.copy(VALID, folder / "own.pem")
    shutil.copy(CA, folder / "ca.pem")
    file.write_text(text)
    web = WebSecurity(str(file))
    server = Server("127.0.0.1:0", {"/": _hello}, security=web.load(), unauthorized=unauthorized)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks, server:
        follow = tasks.create_task(web.follow(SystemClock(), server.secure, said.append))
        try:
            yield server, file, said
        finally:
            follow.cancel()


def trusting(client: Path | None = None) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts our authority, perhaps with a certificate."""
    context = ssl.create_default_context(cafile=str(CA))
    if client is not None:
        context.load_cert_chain(client)
    return context


async def ask(
    server: Server,
    context: ssl.SSLContext | None,
    login: str | None = None,
    path: str = "/",
) -> tuple[int, Mapping[str, str]]:
    """Ask once on a connection of its own; give status and headers."""
    scheme = "http" if context is None else "https"
    encoded = base64.b64encode((login or "").encode()).decode()
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"{scheme}://localhost:{server.port}{path}",
            ssl=context if context is not None else True,
            headers={"Authorization": f"Basic {encoded}"} if login else {},
        ) as answer,
    ):
        await answer.read()
        return answer.status, answer.headers


def test_https_and_nothing_else(tmp_path: Path) -> None:
    """With a certificate in the file, plain HTTP gets no answer; TLS 1.2 and 1.3 do."""

    async def main() -> None:
        async with serving(tmp_path, TLS) as (server, _, _):
            assert (await ask(server, trusting()))[0] == 200
            with pytest.raises(aiohttp.ClientError):
                await ask(server, None)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = trusting()
                context.minimum_version = context.maximum_version = version
                assert (await ask(server, context))[0] == 200

    asyncio.run(main())


def test_version_and_cipher_bounds_are_kept(tmp_path: Path) -> None:
    """A client outside the bounds has no handshake; inside them it gets the one suite named."""

    async def main() -> None:
        bounds = (
            "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n"
        )
        async with serving(tmp_path, TLS + bounds) as (server, _, _):
            newest = trusting()
            newest.minimum_version = ssl.TLSVersion.TLSv1_3
            with pytest.raises(aiohttp.ClientConnectorError):
                await ask(server, newest)
            reader, writer = await asyncio.open_connection("localhost", server.port, ssl=trusting())
            assert "AES256-GCM-SHA384" in writer.get_extra_info("cipher")[0]
            writer.close()
            del reader

    asyncio.run(main())


def test_clients_must_show_a_certificate_with_an_allowed_name(tmp_path: Path) -> None:
    """Without one there is no handshake; with a name that is not listed every path is 403."""

    async def main() -> None:
        demand = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
        async with serving(tmp_path, TLS + demand) as (server, _, _):
            with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                await ask(server, trusting())
            assert (await ask(server, trusting(VALID)))[0] == 200
            with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                await ask(server, trusting(CERTIFICATES / "expired.pem"))
        refused = Tally()
        for name, status in (("localhost", 200), ("prometheus.example", 403)):
            text = f"{TLS}{demand}  client_allowed_sans: [{name}]\n"
            async with serving(tmp_path, text, refused) as (server, _, _):
                assert (await ask(server, trusting(VALID)))[0] == status
        assert refused.value == 1

    asyncio.run(main())


def test_every_path_wants_the_login(tmp_path: Path) -> None:
    """Also those that do not exist: nobody explores without a password. Each refusal counts."""

    async def main() -> None:
        refused = Tally()
        text = f"basic_auth_users: {{alice: {HASHED}}}"
        async with serving(tmp_path, text, refused) as (server, _, _):
            for path in ("/", "/nothing"):
                status, headers = await ask(server, None, path=path)
                assert status == 401
                assert headers["WWW-Authenticate"].startswith("Basic")
            assert (await ask(server, None, "alice:secret"))[0] == 200
            assert (await ask(server, None, "alice:secret", "/nothing"))[0] == 404
            assert (await ask(server, None, "alice:wrong"))[0] == 401
            assert refused.value == 3

    asyncio.run(main())


def test_changes_are_followed_and_mistakes_leave_what_was(tmp_path: Path) -> None:
    """Passwords, headers and certificates change while connections are taken; none is lost."""

    async def main() -> None:
        async with serving(tmp_path, TLS) as (server, file, said):

            async def became(good: bool) -> None:
                await wait_until(lambda: bool(said))
                assert said.pop() is good

            url, same = f"https://localhost:{server.port}/", trusting()
            async with aiohttp.ClientSession() as kept:
                async with kept.get(url, ssl=same) as answer:
                    assert answer.status == 200
                file.write_text(TLS + f"basic_auth_users: {{alice: {HASHED}}}\n")
                await became(True)
                async with kept.get(url, ssl=same) as answer:
                    assert answer.status == 401  # on the open connection too
                    assert answer.headers["Connection"] == "close"
            assert (await ask(server, trusting(), "alice:secret"))[0] == 200
            file.write_text("basic_auth_users: {alice: secret}\n")
            await became(False)
            assert (await ask(server, trusting()))[0] == 401
            headers = "http_server_config: {headers: {X-Frame-Options: sameorigin}}\n"
            file.write_text(TLS + headers)
            await became(True)
            asked = await ask(server, trusting())
            assert (asked[0], asked[1]["X-Frame-Options"]) == (200, "sameorigin")
            # The certificate alone, swapped as Kubernetes and certbot do it.
            shutil.copy(CERTIFICATES / "expired.pem", tmp_path / "next.pem")
            (tmp_path / "next.pem").replace(tmp_path / "own.pem")
            await became(True)
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await ask(server, trusting())
            file.write_text("")
            await became(True)
            assert (await ask(server, None))[0] == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "tls_server_config:\n  cert_file: none.pem\n  key_file: own.pem",
            ":2: tls_server_config.cert_file: cannot be used: No such file or directory",
        ),
        (
            "tls_server_config:\n  cert_file: ca.pem\n  key_file: own.pem",
            ":3: tls_server_config.key_file: cannot be used: not the key of this certificate",
        ),
        (
            "tls_server_config:\n  cert_file: web.yml\n  key_file: own.pem",
            ":2: tls_server_config.cert_file: cannot be used: no PEM",
        ),
        (
            TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: web.yml",
            ":5: tls_server_config.client_ca_file: cannot be used: no certificate or crl found",
        ),
    ],
)
def test_files_that_are_no_good_are_told_like_every_mistake(
    tmp_path: Path, text: str, said: str
) -> None:
    """Missing, mismatched or broken PEM files are one line with the place that names them."""
    shutil.copy(VALID, tmp_path / "own.pem")
    shutil.copy(CA, tmp_path / "ca.pem")
    file = tmp_path / "web.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        WebSecurity(str(file)).load()
    assert caught.value.complaints == (f"{file}{said}",)
