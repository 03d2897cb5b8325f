# Targets: sightline (the program, any role), testcam (with a clip to serve), nats (the broker of docker-compose.yml).
# Nothing in them runs as root, and all of them work with a read-only root file system.

FROM golang:1.26.8-bookworm AS build
ARG VERSION=devel
ARG COMMIT=unknown
ENV XDG_CACHE_HOME=/cache
WORKDIR /src
COPY go.mod go.sum ./
COPY tools/setup tools/setup
RUN tools/setup/deps.sh build && go mod download
COPY . .
RUN make build VERSION="$VERSION" COMMIT="$COMMIT"

# The demo clip as a camera would send it: H.264 without B-frames, a key frame every second.
FROM debian:12.12-slim AS clip
RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*
COPY tools/setup/clip.sh /
RUN ffmpeg -loglevel error -i "$(/clip.sh)" -an -c:v libx264 -preset veryfast -bf 0 -g 10 -pix_fmt yuv420p /demo.mp4

FROM debian:12.12-slim AS sightline
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates libavcodec59 libavformat59 libavutil57 libswscale6 \
        libopencv-core406 libopencv-imgcodecs406 libopencv-imgproc406 libturbojpeg0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --create-home --home-dir /var/lib/sightline sightline
COPY --from=build /cache/sightline/onnxruntime-1.32.0/libonnxruntime.so.1.32.0 /usr/local/lib/
COPY --from=build /src/bin/sightline /usr/local/bin/
COPY LICENSE NOTICE /usr/share/doc/sightline/
COPY models/*.onnx models/*.yaml /usr/share/sightline/models/
ENV SIGHTLINE_ONNXRUNTIME=/usr/local/lib/libonnxruntime.so.1.32.0
USER 10001:10001
WORKDIR /var/lib/sightline
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s CMD ["sightline", "health", "http://127.0.0.1:8889/readyz"]
ENTRYPOINT ["sightline"]
CMD ["run"]

FROM sightline AS testcam
COPY --from=clip /demo.mp4 /clips/demo.mp4
HEALTHCHECK --interval=5s --timeout=4s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8554"]
CMD ["testcam", "--listen", ":8554", "/clips/demo.mp4"]

# A named volume takes over the owner of the folder that it covers, so the streams belong to the user who writes them.
FROM nats:2.15.2-alpine AS nats
RUN mkdir /data && chown 10001:10001 /data
COPY configs/nats.conf /etc/nats/nats.conf
USER 10001:10001
CMD ["-c", "/etc/nats/nats.conf"]
