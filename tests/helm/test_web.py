"""TLS, logins and reloads: the relay has of them what the exporter has, each its own."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
import yaml

from exporter.config import web
from tests.helm.engine import CHART, Manifest, files, manifests, one, pods, values_of

NAMES = {"exporter": "rel-exchange-exporter", "relay": "rel-exchange-exporter-relay"}
RELAY: Manifest = {"enabled": True, "configExistingSecret": "r"}
LOGIN = {"username": {"name": "scrape", "key": "user"}, "password": {"name": "scrape", "key": "p"}}
TLS = {"ca": {"secret": {"name": "tls", "key": "ca.crt"}}, "serverName": "example.com"}
SECURED: Manifest = {
    "webConfig": {"existingSecret": "{{ .Release.Name }}-tls", "key": "w.yml", "scheme": "https"},
    "serviceMonitor": {"tlsConfig": TLS, "basicAuth": LOGIN},
    "startupProbe": {"httpGet": {"path": "/-/healthy", "port": "http"}},
}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def _values(part: str, values: Manifest) -> Manifest:
    """Return values of one part, beside what makes both parts and their monitors."""
    own: dict[str, Any] = values if part == "exporter" else {}
    monitor = own.get("serviceMonitor", {}) | {"enabled": True}
    relay = RELAY | (values if part == "relay" else {})
    return own | {"relay": relay, "serviceMonitor": monitor}


def _pod(found: list[Manifest], part: str) -> Manifest:
    """Return the pod template of a part."""
    hits = [each for each, _ in pods(found) if each["metadata"]["name"] == NAMES[part]]
    template: Manifest = hits[0]["spec"]["template"]
    return template


def _probed(container: Manifest) -> list[str]:
    """Return how each probe of a container asks."""
    asked = [container[name]["httpGet"] for name in PROBES if name in container]
    return [each.get("scheme", "HTTP") for each in asked]


@pytest.mark.parametrize("part", NAMES)
def test_a_part_is_secured_by_itself(part: str) -> None:
    """Flag, file, probes and monitor of the one part follow its web config; the other's stay."""
    found = manifests(_values(part, SECURED))
    spec = _pod(found, part)["spec"]
    container = spec["containers"][0]
    assert "--web.config.file=/etc/exchange-exporter/web/w.yml" in container["args"]
    mount = next(each for each in container["volumeMounts"] if each["name"] == "web-config")
    # A whole folder: the certificates lie beside the file, and a change is seen.
    assert mount == {
        "name": "web-config", "mountPath": "/etc/exchange-exporter/web", "readOnly": True,
    }  # fmt: skip
    volume = next(each for each in spec["volumes"] if each["name"] == "web-config")
    assert volume["secret"] == {"secretName": "rel-tls", "defaultMode": 0o440}
    assert _probed(container) == ["HTTPS"] * 3
    endpoint = one(found, "ServiceMonitor", NAMES[part])["spec"]["endpoints"][0]
    assert (endpoint["scheme"], endpoint["tlsConfig"], endpoint["basicAuth"]) == (
        "https", TLS, LOGIN,
    )  # fmt: skip
    (other,) = set(NAMES) - {part}
    spec = _pod(found, other)["spec"]
    assert "web" not in str([spec["containers"][0]["args"][3:], spec["volumes"]])
    assert set(_probed(spec["containers"][0])) == {"HTTP"}
    endpoint = one(found, "ServiceMonitor", NAMES[other])["spec"]["endpoints"][0]
    assert not {"scheme", "tlsConfig", "basicAuth"} & set(endpoint)
    asked = one(found, "Pod")["spec"]["containers"][0]["args"][1:]
    schemes = {url.split("/")[2].partition(":")[0]: url.partition(":")[0] for url in asked}
    assert schemes == {NAMES[part]: "https", NAMES[other]: "http"}


def test_the_program_takes_a_web_config_of_values() -> None:
    """What `content` becomes is mounted where the flag points, and is read by the program."""
    found = manifests(values_of(CHART / "ci" / "web-values.yaml"))
    read = {}
    for part in NAMES:
        volumes = _pod(found, part)["spec"]["volumes"]
        name = next(each["secret"]["secretName"] for each in volumes if "web" in each["name"])
        text = b64decode(one(found, "Secret", name)["data"]["web.yml"]).decode()
        read[part], _ = web.read(text, "web.yml")
    assert all(each.tls_server_config for each in read.values())
    assert {part: set(each.basic_auth_users) for part, each in read.items()} == {
        "exporter": {"prometheus"},
        "relay": set(),
    }


def _receiver(values: Manifest) -> Manifest:
    """Return how Alertmanager posts; the notes say the same address."""
    receivers = one(manifests(values), "AlertmanagerConfig")["spec"]["receivers"]
    webhook: Manifest = next(
        each["webhookConfigs"][0] for each in receivers if each["name"] == "page"
    )
    assert f"  {webhook['url']}\n" in files(values)["NOTES.txt"]
    return webhook


def test_alertmanager_posts_as_the_relay_asks() -> None:
    """Scheme, trust and login of its posts are those that the relay's web server takes."""
    place = "rel-exchange-exporter-relay.ns.svc:9719/api/v1/alertmanager"
    token = {"type": "Bearer", "credentials": {"name": "t", "key": "token"}}
    plain = RELAY | {"token": {"existingSecret": "t"}}
    open_to = _receiver({"relay": plain, "alertmanagerConfig": {"enabled": True}})
    assert open_to["url"] == f"http://{place}"
    assert open_to["httpConfig"] == {"authorization": token}
    secured = {"webConfig": SECURED["webConfig"]}
    trusting = {"enabled": True, "tlsConfig": TLS}
    tls = _receiver({"relay": plain | secured, "alertmanagerConfig": trusting})
    assert tls["url"] == f"https://{place}"
    assert tls["httpConfig"] == {"authorization": token, "tlsConfig": TLS}
    users = _receiver(
        {"relay": RELAY | secured, "alertmanagerConfig": trusting | {"basicAuth": LOGIN}}
    )
    assert users["httpConfig"] == {"basicAuth": LOGIN, "tlsConfig": TLS}


@pytest.mark.parametrize(
    "web_config",
    [
        {"existingSecret": "users"},
        {"content": {"basic_auth_users": {"a": "hash"}}},
        {
            "scheme": "https",
            "content": {"tls_server_config": {"client_auth_type": "RequireAndVerifyClientCert"}},
        },
    ],
)
def test_a_web_config_that_asks_is_a_login(web_config: Manifest) -> None:
    """The relay needs no token where its web config asks who posts."""
    receiver = {"name": "a", "type": "webhook", "url": "https://example.com/"}
    tcp = {"tcpSocket": {"port": "http"}}
    relay = {"enabled": True, "config": {"receivers": [receiver]}, "webConfig": web_config}
    relay |= {"livenessProbe": tcp, "readinessProbe": tcp}
    found = manifests({"relay": relay})
    config = yaml.safe_load(one(found, "ConfigMap", NAMES["relay"])["data"]["config.yml"])
    assert "intake" not in config


@pytest.mark.parametrize("part", NAMES)
def test_a_changed_config_restarts_or_reloads(part: str) -> None:
    """Without the reloader a new config changes the pod's template; with it, it does not."""

    def template(reload: bool, level: str) -> Manifest:
        config: Manifest = {"log": {"level": level}}
        receiver = {"name": "a", "type": "webhook", "url": "https://example.com/"}
        own = {"receivers": [receiver]} if part == "relay" else {}
        # No existing Secret, which would take the config's place; then the relay needs a token.
        values = {
            "configReloader": {"enabled": reload},
            "configExistingSecret": "",
            "config": config | own,
        }
        if part == "relay":
            values |= {"token": {"existingSecret": "t"}}
        return _pod(manifests(_values(part, values)), part)

    assert template(False, "info") != template(False, "debug")
    assert template(True, "info") == template(True, "debug")
    # Told by SIGHUP from the other container, which watches the same mount as the same user.
    spec = template(True, "info")["spec"]
    main, reloader = spec["containers"]
    assert spec["shareProcessNamespace"] is True
    assert reloader["image"] == main["image"]
    assert reloader["securityContext"]["runAsUser"] == main["securityContext"]["runAsUser"]
    assert reloader["volumeMounts"][0] in main["volumeMounts"]
    assert "shareProcessNamespace" not in template(False, "info")["spec"]


def test_the_reloader_by_http_speaks_the_servers_scheme() -> None:
    """prometheus-config-reloader asks over TLS where the exporter serves it, and shares nothing."""
    values = SECURED | {"configReloader": {"enabled": True, "method": "http"}}
    spec = _pod(manifests(values), "exporter")["spec"]
    assert "--reload-url=https://127.0.0.1:9717/-/reload" in spec["containers"][1]["args"]
    assert "shareProcessNamespace" not in spec
