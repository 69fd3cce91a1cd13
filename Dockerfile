FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json bundle.mjs make-code-cache.mjs config_sample.yml ./
COPY storage storage
COPY protocols protocols
COPY src src
RUN npm run build && npm prune --omit=dev

FROM node:24-slim
LABEL org.opencontainers.image.title="Isthmus" \
      org.opencontainers.image.description="A container registry that serves docker's V1 and V2 protocols from one store" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json config_sample.yml LICENSE ./
COPY deploy/healthcheck.mjs deploy/
RUN mkdir -p /var/lib/registry && chown 1000:1000 /var/lib/registry \
 && ln -s /app/dist/src/main.js /usr/local/bin/isthmus \
 && ln -s /app/dist/src/bin/registry.js /usr/local/bin/registry
ENV NODE_ENV=production \
    DOCKER_REGISTRY_CONFIG=/app/config_sample.yml \
    SETTINGS_FLAVOR=prod \
    STORAGE_PATH=/var/lib/registry
USER 1000:1000
VOLUME /var/lib/registry
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["node", "/app/deploy/healthcheck.mjs"]
ENTRYPOINT ["node", "/app/dist/src/main.js"]
CMD ["serve"]
