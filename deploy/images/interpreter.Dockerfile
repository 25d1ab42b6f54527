# The image of pods that run scripts: the sandbox, and an interpreter that is compiled already.
#
#     sandbox runtime add python
#     sandbox runtime bundle python --output bundle
#     docker build --build-arg SANDBOX=REGISTRY/sandbox@sha256:... \
#         -f deploy/images/interpreter.Dockerfile -t REGISTRY/sandbox-python:TAG bundle
#
# The folder `bundle` is made on the oldest kind of processor that the nodes have, by the `sandbox` of the image.
# deploy/images/build.sh --interpreter makes the same files without Docker.
ARG SANDBOX
FROM ${SANDBOX}
COPY . /interpreter
