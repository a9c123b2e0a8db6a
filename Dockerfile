# The bridge, its operator's tool and the consumers: static, on an empty file system, as a user
# without rights. The build context has to have .git: the versions that the programs show are those of
# the checkout.
#
#   docker build -t bintubridge .
#   docker run -p 8080:8080 -v bridge-data:/data -e BRIDGE_HOOK_SECRETS=... bintubridge
#   docker run --entrypoint /consumer -e NATS_URL=... bintubridge sessions

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=auto -ldflags="-s -w -buildid=" -o /out/ ./cmd/bridge ./cmd/bridgectl ./cmd/consumer
RUN mkdir -p /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/bridge /out/bridgectl /out/consumer /
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
ENV BRIDGE_DATA_DIR=/data BRIDGE_LISTEN=:8080 BRIDGE_ADMIN_LISTEN=:8081 CONSUMER_ADMIN_LISTEN=:8081
VOLUME /data
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/bridge", "-health"]
ENTRYPOINT ["/bridge"]
