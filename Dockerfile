# Two stages: the Debian package is built on Debian 12, and installed into Debian 12 slim, which brings the libraries it
# depends on and nothing else. Runs as a user without rights, on a read-only root:
#   docker run --read-only --tmpfs /var/lib/keyferry:uid=10001,mode=0750 keyferry run --source URI --target URI
FROM debian:12 AS build
WORKDIR /keyferry
COPY config/install-packages config/install-packages
RUN ./config/install-packages build
COPY . .
RUN cmake --preset release \
    && cmake --build --preset release --target keyferry \
    && cpack --config build/release/CPackConfig.cmake -B /package \
    && mv /package/keyferry_*.deb /keyferry.deb

FROM debian:12-slim
# A number, because Kubernetes' runAsNonRoot knows no names.
RUN groupadd --gid 10001 keyferry \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/keyferry --shell /usr/sbin/nologin keyferry
RUN --mount=type=bind,from=build,source=/keyferry.deb,target=/keyferry.deb \
    apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends /keyferry.deb \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/* /usr/share/doc/keyferry
USER 10001:10001
# Spool and dead letters; the only place that is written to.
WORKDIR /var/lib/keyferry
VOLUME /var/lib/keyferry
EXPOSE 8484 8485
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/usr/bin/keyferry", "status"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/keyferry"]
CMD ["run"]
