# The image of the service, the controller, and the configuration and publishing pods: the program `cloister`, the sandbox for the
# check programs of outputs, and the certificate authorities that `cloister` trusts when it fetches and stores. Both programs are static.
#
#     docker build -f deploy/images/cloister.Dockerfile -t REGISTRY/cloister:TAG .
#
# deploy/images/build.sh makes the same root file system without Docker.
FROM rust:1.95-bookworm AS build
WORKDIR /src
# What `--version` says: --build-arg CLOISTERDEV_COMMIT=$(git rev-parse --short=12 HEAD)
ARG CLOISTERDEV_COMMIT=
COPY . .
RUN cargo build --release --workspace --bins --examples --locked

FROM scratch
COPY --from=build /src/target/release/cloister /cloister
COPY --from=build /src/target/release/sandbox /sandbox
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
ENTRYPOINT ["/cloister"]
