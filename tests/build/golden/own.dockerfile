### image launch-jobs/job:930ac90e01d9b8dca53a76a8a6d745c7
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
LABEL org.launch-jobs.job-digest="sha256:68351fe699ba809cc850c776393dbacb174626a51236e02e072f5c3ddbbdc770" org.launch-jobs.image-digest="sha256:930ac90e01d9b8dca53a76a8a6d745c713b59c8e05d13575e8d32c972aff9730" org.opencontainers.image.base.name="docker.io/library/python:3.11-slim" org.opencontainers.image.base.digest="sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
