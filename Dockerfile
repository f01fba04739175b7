# The command `mcbn` in a small image:  docker build -t mcbn .  &&  docker run --rm mcbn demo
#
# Built from a clean checkout. To test while building: docker build --target test .

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

FROM build AS prune
# What runs: the library, the compiled addon and the run-time dependencies.
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && strip --strip-unneeded build/Release/mcbn.node

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=prune /src/package.json /src/LICENSE ./
COPY --from=prune /src/node_modules ./node_modules
COPY --from=prune /src/build/Release/mcbn.node ./build/Release/mcbn.node
COPY --from=prune /src/dist ./dist
USER node
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["--help"]
