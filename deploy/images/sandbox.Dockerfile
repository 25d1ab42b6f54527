# The image of algorithm pods: the sandbox, the first program of containers that are algorithms, and nothing else: no shell, no
# library, no file of a distribution. Both programs are static.
#
#     docker build -f deploy/images/sandbox.Dockerfile -t REGISTRY/sandbox:TAG .
#
# deploy/images/build.sh makes the same root file system without Docker.
FROM rust:1.95-bookworm AS build
WORKDIR /src
# What `--version` says: --build-arg CLOISTERDEV_COMMIT=$(git rev-parse --short=12 HEAD)
ARG CLOISTERDEV_COMMIT=
COPY . .
RUN cargo build --release --workspace --bins --examples --locked

FROM scratch
COPY --from=build /src/target/release/sandbox /sandbox
COPY --from=build /src/target/release/entry /entry
USER 65532:65532
ENTRYPOINT ["/sandbox"]
