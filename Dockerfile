# syntax=docker/dockerfile:1
# The exporter and the relay in one image.
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" --tag exchange-exporter .
#   docker run --read-only --cap-drop=ALL --security-opt=no-new-privileges --publish 9717:9717
#     --volume "$PWD/config.yml:/etc/exchange-exporter/config/config.yml:ro" exchange-exporter
# A release names the base by its digest: --build-arg BASE=docker.io/library/python:3.11-slim-bookworm@sha256:...
# For the exporter alone, without the relay's further services: --build-arg LOCK=runtime
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# --- what is installed, made where a compiler may be --------------------------------------------
# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv --without-pip /opt/exchange-exporter
WORKDIR /src
# The lock first: a change of the code does not fetch the packages anew.
ARG LOCK=image
COPY requirements/${LOCK}.lock packages.lock
RUN python -m pip --python /opt/exchange-exporter/bin/python install --require-hashes --requirement packages.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter/ exporter/
COPY alert_rules/ alert_rules/
COPY dashboards/json/ dashboards/json/
RUN python -m pip --python /opt/exchange-exporter/bin/python install --no-deps --no-build-isolation . \
 && python -m pip --python /opt/exchange-exporter/bin/python uninstall --yes setuptools \
 # Compiled once here, as the root file system of the result may be read-only.
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/exchange-exporter/lib

# --- what runs ----------------------------------------------------------------------------------
# hadolint ignore=DL3006
FROM ${BASE}
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="exchange-exporter" \
      org.opencontainers.image.description="Watches crypto exchanges for Prometheus, and tells people through a relay" \
      org.opencontainers.image.source="https://github.com/exchange-exporter/exchange-exporter" \
      org.opencontainers.image.documentation="https://github.com/exchange-exporter/exchange-exporter#readme" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# pip is not needed any more, and what is not there has no weakness.
RUN python -m pip uninstall --yes --quiet pip setuptools wheel \
 && rm -rf /usr/local/lib/python3.*/ensurepip /root/.cache \
 && groupadd --gid 10001 exporter \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin exporter \
 && install -d -o 10001 -g 10001 /var/lib/exchange-exporter \
 && install -d /etc/exchange-exporter/config
COPY --from=build /opt/exchange-exporter /opt/exchange-exporter
ENV PATH=/opt/exchange-exporter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    EXCHANGE_EXPORTER_REVISION=${REVISION} \
    HEALTH_URL=http://127.0.0.1:9717/-/healthy
USER 10001:10001
WORKDIR /var/lib/exchange-exporter
VOLUME ["/var/lib/exchange-exporter"]
EXPOSE 9717 9719
# For the relay: --env HEALTH_URL=http://127.0.0.1:9719/-/healthy. Kubernetes asks by itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["exchange-exporter"]
CMD ["run", "--config.file=/etc/exchange-exporter/config/config.yml", "--storage.path=/var/lib/exchange-exporter"]
