# syntax=docker/dockerfile:1
# The operator's image: one binary on a small base, as a user without rights.
#
#   docker build -t timbr-identity:0.1.0 .

ARG RUST=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST}-slim-${DEBIAN} AS build
# aws-lc, the crypto library, is C: its build needs a compiler, make and cmake.
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package timbr-identity --bin timbr-identity

FROM debian:${DEBIAN}-slim
LABEL org.opencontainers.image.title="timbr-identity" \
      org.opencontainers.image.description="Kubernetes operator for Timbr's identity integrations" \
      org.opencontainers.image.licenses="Apache-2.0"
# The authorities that https is checked with: Timbr's REST API may be behind it.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/timbr-identity /usr/local/bin/timbr-identity
COPY LICENSE /usr/share/doc/timbr-identity/
# A number, so that runAsNonRoot can be checked without a look into /etc/passwd.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/timbr-identity"]
CMD ["operator"]
