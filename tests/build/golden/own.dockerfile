### image launch-jobs/job:9ef952e62ffce9d0d03932cc7f877aba
# syntax=docker/dockerfile:1
ARG BASE=debian:bookworm-slim
FROM golang:1.23 AS build
RUN go build -o /serve \
    ./cmd
FROM ${BASE}
COPY --from=build /serve bin/serve
WORKDIR bin
ENTRYPOINT []
CMD ["./serve"]
LABEL org.launch-jobs.job-digest="sha256:a6cea3b4342fa5cbafa308bd8f2a43aef9b9bceb734ad6f31d4bced654ed86a0" org.launch-jobs.image-digest="sha256:9ef952e62ffce9d0d03932cc7f877aba50039ce33ba3ba786310b1ad3d4fdb6c" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
