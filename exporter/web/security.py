"""The web config file in force: read at the start, and again when it or a file it names changes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from exporter.config import ConfigError, Places, web
from exporter.config.secret import Secret
from exporter.contracts import Clock
from exporter.web.basic_auth import BasicAuth
from exporter.web.tls import RequestRate, Security, TlsFileError, held_in_file, server_context

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks at the files
_Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class WebSecurity:
    """One ``--web.config.file``. `load` first; then `follow` for as long as the server runs."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._files: tuple[Path, ...] = (self._file,)
        self._stamp: _Stamp = ()
        self.security = Security()

    def load(self) -> Security:
        """Read everything anew. Raises ConfigError; what was in force before stays so."""
        # Each look comes before its reading: a change in between is seen at the next look.
        self._stamp = self._look()
        own = _stamp(self._file)
        read, places = web.load(self._file)
        folder, tls, context = self._file.parent, read.tls_server_config, None
        self._files, self._stamp = (self._file,), (own,)
        if tls is not None and tls.enabled:
            named = (tls.cert_file, tls.key_file, tls.client_ca_file)
            self._files += tuple(folder / file for file in named if file)
            self._stamp = (own, *self._look()[1:])
            context = _context(tls, folder, places)
        rate = read.rate_limit
        self.security = Security(
            tls=context,
            login=BasicAuth(read.basic_auth_users) if read.basic_auth_users else None,
            client_names=frozenset(tls.client_allowed_sans) if tls else frozenset(),
            headers={name: text for name, text in read.http_server_config.headers.items() if text},
            rate=RequestRate(rate.interval, rate.burst) if rate.interval else None,
        )
        return self.security

    async def follow(
        self,
        clock: Clock,
        secure: Callable[[Security], Awaitable[None]],
        loaded: Callable[[bool], None],
    ) -> None:
        """Hand every change to ``secure``, and tell ``loaded`` whether the file was good."""
        while True:
            await clock.sleep(LOOK_EVERY)
            if await asyncio.to_thread(self._look) == self._stamp:
                continue
            try:
                security = await asyncio.to_thread(self.load)
            except ConfigError as error:
                loaded(False)
                for complaint in error.complaints:
                    log.error("web_config_refused mistake=%r", complaint[:500])
                continue
            await secure(security)
            loaded(True)
            log.info(
                "web_config_loaded tls=%s login=%s",
                security.tls is not None,
                security.login is not None,
            )

    @property
    def asks(self) -> bool:
        """Return whether nobody gets in who does not show who they are."""
        tls = self.security.tls
        demanded = tls is not None and tls.verify_mode is ssl.CERT_REQUIRED
        return self.security.login is not None or demanded

    def _look(self) -> _Stamp:
        return tuple(_stamp(file) for file in self._files)


def _context(tls: web.WebTlsConfig, folder: Path, places: Places) -> ssl.SSLContext:
    """Return the TLS context of a web config. Raises ConfigError."""
    with ExitStack() as held:

        def path(file: str | None, inline: Secret | None) -> Path | None:
            if file:
                return folder / file
            return held.enter_context(held_in_file(inline.reveal())) if inline else None

        certificate, key = path(tls.cert_file, tls.cert), path(tls.key_file, tls.key)
        assert certificate is not None and key is not None  # noqa: S101, PT018 - it was looked at
        try:
            return server_context(
                certificate=certificate,
                key=key,
                client_authorities=path(tls.client_ca_file, tls.client_ca),
                asks=tls.client_auth_type in web.VERIFYING,
                required=tls.client_auth_type in web.DEMANDING,
                versions=(tls.min_version, tls.max_version),
                ciphers=[web.SUITES[each] for each in tls.cipher_suites if web.SUITES[each]],
                curves=[web.CURVES[each] for each in tls.curve_preferences],
                our_order=tls.prefer_server_cipher_suites,
            )
        except TlsFileError as error:
            inline = error.key.removesuffix("_file")
            where = inline if getattr(tls, inline, None) else error.key
            raise web.refused(places, where, f"cannot be used: {error}") from error


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
