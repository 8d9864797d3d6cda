# syntax=docker/dockerfile:1
# The engine: `bindery serve` on port 8002, its data in the volume /data.
#
#   docker build -t bindery .
#   docker run --rm -p 127.0.0.1:8002:8002 -v bindery-data:/data bindery

# Both bases are of one Debian, so that the binary finds the libc that it was linked with.
ARG DEBIAN=trixie

FROM rust:1.95-slim-${DEBIAN} AS build
WORKDIR /src
COPY . .
# The caches are not part of the image; the binary must be copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin bindery && cp target/release/bindery /usr/local/bin/bindery

FROM debian:${DEBIAN}-slim AS base
# Debian's own stable versions, with its security updates; a pinned one disappears from its archive.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv tini \
    && rm -rf /var/lib/apt/lists/*

# The kernel environments, in a stage of their own: they need pip's cache and nothing else of it.
FROM base AS kernels
# Which ones are in the image. mlflow_kernel is most of its size; with KERNELS= there are none, and
# `bindery kernels install` puts them into the volume.
ARG KERNELS="python3 mlflow_kernel"
COPY --from=build /usr/local/bin/bindery /usr/local/bin/bindery
# The names are words, so no quotes.
RUN --mount=type=cache,target=/root/.cache/pip \
    mkdir -p /opt/bindery \
    && if [ -n "$KERNELS" ]; then bindery kernels install --data-dir /opt/bindery $KERNELS; fi

FROM base
RUN groupadd --system --gid 10001 bindery \
    && useradd --system --uid 10001 --gid bindery --create-home --home-dir /home/bindery bindery \
    && install --directory --owner bindery --group bindery --mode 0750 /data
COPY --from=kernels /opt/bindery /opt/bindery
COPY --from=build /usr/local/bin/bindery /usr/local/bin/bindery

# The kernels of the image are found like any of Jupyter's, whatever volume is mounted at /data. One that is
# installed into the volume comes before its namesake here.
ENV JUPYTER_PATH=/opt/bindery \
    BINDERY_DATA_DIR=/data \
    BINDERY_LISTEN=0.0.0.0:8002

# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8002

# Python is here anyway, and curl is not.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['BINDERY_LISTEN'].rsplit(':', 1)[1] + '/health', timeout=4)"]

# tini reaps what notebooks leave behind; a process 1 that is not an init never does.
ENTRYPOINT ["tini", "--", "bindery"]
CMD ["serve"]
