# Two stages: build on Debian 12, run on Debian 12 slim with only the libraries the program links to.
FROM debian:12 AS build
WORKDIR /keyferry
COPY config/install-packages config/install-packages
RUN ./config/install-packages build
COPY . .
RUN cmake --preset release && cmake --build --preset release --target keyferry \
    && strip -o /keyferry.bin build/release/src/keyferry

FROM debian:12-slim
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libfmt9 libspdlog1.10 libyaml-cpp0.7 libisal2 liblzf1 libssl3 zlib1g libzstd1 ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home keyferry
COPY --from=build /keyferry.bin /usr/bin/keyferry
USER keyferry
WORKDIR /tmp
EXPOSE 8484 8485
ENTRYPOINT ["/usr/bin/keyferry"]
CMD ["run"]
