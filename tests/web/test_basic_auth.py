"""Names and passwords: right ones pass quickly, wrong ones learn nothing, and many cost little."""

from __future__ import annotations

import asyncio
import base64
import threading

import bcrypt
import pytest

from exporter.web.basic_auth import BasicAuth
from exporter.web.routes import RefusedError

PASSWORD = b"correct horse"


def hashed(password: bytes = PASSWORD, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


def header(name: bytes, password: bytes) -> str:
    return "Basic " + base64.b64encode(name + b":" + password).decode()


def status(login: BasicAuth, sent: str | None) -> int:
    """Return 200 or the status of the refusal."""
    try:
        asyncio.run(login.check(sent))
    except RefusedError as refusal:
        return refusal.status
    return 200


def test_who_knows_the_password_passes_and_nobody_else() -> None:
    """Wrong passwords, unknown names, other schemes and garbage are all the same 401."""
    login = BasicAuth({"alice": hashed(), "bob": hashed(b"b")})
    assert status(login, header(b"alice", PASSWORD)) == 200
    assert status(login, header(b"alice", PASSWORD)) == 200  # remembered
    for wrong in (
        None,
        "",
        "Basic",
        "Basic !!!",
        "Bearer abc",
        "Basic " + base64.b64encode(b"alice").decode(),
        "Basic " + "A" * 4000,
        "Basic \u00e9",
        header(b"alice", b"wrong"),
        header(b"alice", b"b"),
        header(b"alice", b""),
        header(b"alice", b"\0"),
        header(b"nobody", PASSWORD),
        header(b"", b""),
    ):
        assert status(login, wrong) == 401, wrong


def test_a_refusal_asks_for_a_password_and_says_no_more() -> None:
    """The text for an unknown name is that for a wrong password."""
    login, said = BasicAuth({"alice": hashed()}), set[str]()
    for sent in (header(b"alice", b"x"), header(b"nobody", b"x")):
        with pytest.raises(RefusedError) as caught:
            asyncio.run(login.check(sent))
        said.add(caught.value.reason)
        assert caught.value.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert len(said) == 1


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cost factor of each hash that bcrypt is asked to compare with, in order."""
    found: list[int] = []

    def checkpw(password: bytes, hashed: bytes) -> bool:
        found.append(int(hashed[4:6]))
        return real(password, hashed)

    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return found


def test_an_unknown_name_costs_what_a_wrong_password_costs(costs: list[int]) -> None:
    """Time does not tell which names exist: both are judged by one hash of the same cost."""
    login = BasicAuth({"alice": hashed(cost=9)})
    for name in (b"nobody", b"alice"):
        assert status(login, header(name, b"wrong")) == 401
    assert costs == [9, 9]


def test_a_right_login_is_remembered_without_the_password(costs: list[int]) -> None:
    """The second time costs no hash; what is kept of it is a digest."""
    login = BasicAuth({"alice": hashed()})
    for _ in range(20):
        assert status(login, header(b"alice", PASSWORD)) == 200
    assert costs == [4]
    assert PASSWORD not in repr(vars(login)).encode()


def test_what_is_remembered_is_bounded_and_holds_right_logins_only() -> None:
    """Guesses push nobody out; a password beyond bcrypt's 72 bytes has endless spellings."""
    long = PASSWORD * 10
    login = BasicAuth({"alice": hashed(long[:72])})
    for n in range(150):
        assert status(login, header(b"alice", long[:72] + b"%d" % n)) == 200
        assert status(login, header(b"alice", b"%d" % n)) == 401
    assert len(login._right) == 100


def test_a_flood_of_guesses_is_turned_away_and_known_users_pass() -> None:
    """At most eight guesses wait; the next is told 429 at once, who is remembered is let in."""
    login = BasicAuth({"alice": hashed(cost=8)})

    async def main() -> list[int]:
        await login.check(header(b"alice", PASSWORD))

        async def guess(n: int) -> int:
            try:
                await login.check(header(b"alice", b"%d" % n))
            except RefusedError as refusal:
                return refusal.status
            return 200

        guesses = [asyncio.ensure_future(guess(n)) for n in range(50)]  # noqa: TID251 - one test
        await asyncio.sleep(0)
        with pytest.raises(StopIteration):  # it ends without waiting for anything
            login.check(header(b"alice", PASSWORD)).send(None)
        return await asyncio.gather(*guesses)

    answers = asyncio.run(main())
    assert answers.count(401) in (8, 9), "and one that a thread has taken"
    assert answers.count(401) + answers.count(429) == 50


def refused(login: BasicAuth, sent: str, address: str) -> tuple[int, str]:
    """Return the status of a login from an address, and when to come again."""

    async def main() -> tuple[int, str]:
        try:
            await login.check(sent, address)
        except RefusedError as refusal:
            return refusal.status, refusal.headers.get("Retry-After", "")
        return 200, ""

    return asyncio.run(main())


def test_who_guesses_waits_and_nobody_else_does(costs: list[int]) -> None:
    """Six wrong logins of one address are judged; the next is not, and costs no hash."""
    login = BasicAuth({"alice": hashed()})
    for n in range(6):
        assert refused(login, header(b"alice", b"%d" % n), "192.0.2.1") == (401, "")
    assert refused(login, header(b"alice", b"again"), "192.0.2.1") == (429, "1")
    assert len(costs) == 6
    assert refused(login, header(b"alice", PASSWORD), "192.0.2.2") == (200, "")
    assert refused(login, header(b"alice", PASSWORD), "192.0.2.1") == (200, ""), "remembered"


def test_a_right_login_never_waits_behind_guesses() -> None:
    """Who was right before has a thread apart, and guesses of one address are few in line."""
    gate = threading.Event()

    def held(password: bytes, hashed: bytes) -> bool:
        if password != PASSWORD + b"2":
            assert gate.wait(30)
        return password == PASSWORD + b"2"

    async def main(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
        login = BasicAuth({"alice": hashed()})
        await login.check(header(b"alice", PASSWORD), "192.0.2.1")
        monkeypatch.setattr("exporter.web.basic_auth._matches", held)
        answers: list[tuple[int, str]] = []

        async def guess(n: int) -> None:
            try:
                await login.check(header(b"alice", b"%d" % n), f"198.51.100.{n % 5}")
            except RefusedError as refusal:
                answers.append((refusal.status, refusal.reason))

        async with asyncio.TaskGroup() as group:
            for n in range(50):
                group.create_task(guess(n))
            await asyncio.sleep(0)
            await login.check(header(b"alice", PASSWORD + b"2"), "192.0.2.1")
            gate.set()
        return answers

    with pytest.MonkeyPatch.context() as patched:
        answers = asyncio.run(main(patched))
    busy = (429, "too many logins at a time")
    assert answers.count(busy) >= 40
    assert set(answers) == {busy, (401, "wrong name or password")}


def test_who_hangs_up_leaves_the_line() -> None:
    """Guessers that let go before they are judged keep no place and cost no further hash."""
    gate, judged = threading.Event(), list[bytes]()

    def held(password: bytes, hashed: bytes) -> bool:
        judged.append(password)
        assert gate.wait(30)
        return password == PASSWORD

    async def main() -> None:
        login = BasicAuth({"alice": hashed()})
        async with asyncio.TaskGroup() as group:
            for n in range(100):
                task = group.create_task(login.check(header(b"alice", b"%d" % n), f"192.0.2.{n}"))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            right = group.create_task(login.check(header(b"alice", PASSWORD), "198.51.100.1"))
            await asyncio.sleep(0)
            gate.set()
            await right

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("exporter.web.basic_auth._matches", held)
        asyncio.run(main())
    assert judged[-1] == PASSWORD
    assert len(judged) <= 2, "one that had begun, and the one that stayed"
