"""The web config file in force: read at the start, and again when it or a file it names changes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from exporter.config import ConfigError, web
from exporter.contracts import Clock
from exporter.web.basic_auth import BasicAuth
from exporter.web.tls import Security, TlsFileError, server_context

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
        if tls is not None:
            authorities = folder / tls.client_ca_file if tls.client_ca_file else None
            named = (folder / tls.cert_file, folder / tls.key_file, authorities)
            self._files += tuple(file for file in named if file is not None)
            self._stamp = (own, *self._look()[1:])
            try:
                context = server_context(
                    certificate=folder / tls.cert_file,
                    key=folder / tls.key_file,
                    client_authorities=authorities,
                    required=tls.client_auth_type == "RequireAndVerifyClientCert",
                    versions=(tls.min_version, tls.max_version),
                    ciphers=[web.SUITES[each] for each in tls.cipher_suites if web.SUITES[each]],
                    our_order=tls.prefer_server_cipher_suites,
                )
            except TlsFileError as error:
                wrong = f"cannot be used: {error}"
                raise web.refused(places, error.key, wrong) from error
        self.security = Security(
            tls=context,
            login=BasicAuth(read.basic_auth_users) if read.basic_auth_users else None,
            client_names=frozenset(tls.client_allowed_sans) if tls else frozenset(),
            headers={name: text for name, text in read.http_server_config.headers.items() if text},
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


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
