# The images of mcbn with a daemon:  docker build -t mcbn .  &&  docker run --rm mcbn --help
#
# Built from a clean checkout. To test while building: docker build --target test .
# --target server is the server's image: the root file system that "mcbn image build server" makes, with the same
# configuration. A daemon packs layers in its own way, so its digest is another one: what participants agree on
# comes from mcbn image build (docs/IMAGES.md).

FROM node:24-bookworm-slim AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends g++ make python3 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The image keeps Node's headers in /usr/local/include/node, so node-gyp fetches nothing.
RUN npm ci --no-audit --no-fund

FROM build AS test
RUN apt-get update \
  && apt-get install -y --no-install-recommends openssl binutils \
  && rm -rf /var/lib/apt/lists/*
RUN npm test

FROM build AS rootfs
RUN node dist/cli/main.js image build server --archive /server.tar \
  && node dist/cli/main.js image unpack /server.tar /rootfs

FROM scratch AS server
COPY --from=rootfs /rootfs /
ENV PATH="/usr/bin"
ENV NODE_ENV="production"
USER 65532:65532
WORKDIR /app
LABEL "mcbn.role"="server"
LABEL "org.opencontainers.image.title"="mcbn-server"
LABEL "org.opencontainers.image.version"="0.1.0"
LABEL "tee.launch_policy.allow_cmd_override"="false"
LABEL "tee.launch_policy.allow_env_override"="MCBN_DESCRIPTOR_HASH,MCBN_DESCRIPTOR,MCBN_PARTICIPANTS"
LABEL "tee.launch_policy.allow_capabilities"="false"
LABEL "tee.launch_policy.allow_cgroups"="false"
LABEL "tee.launch_policy.log_redirect"="never"
LABEL "tee.launch_policy.hardened_monitoring"="none"
LABEL "tee.launch_policy.debug_monitoring"="none"
EXPOSE 8443/tcp
EXPOSE 8443/udp
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/node", "/app/node_modules/mcbn/dist/cli/main.js", "workload", "server"]
CMD ["--listen", "tls://0.0.0.0:8443", "--listen", "dtls://0.0.0.0:8443", "--echo"]

# The whole command, to look around.
FROM server
ENTRYPOINT ["/usr/bin/node", "/app/node_modules/mcbn/dist/cli/main.js"]
CMD ["--help"]
