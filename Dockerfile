# docker build -t eventstream .        (see docs/how-to/run-in-docker.md)
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY eventstream ./eventstream
COPY plugins ./plugins
RUN python -m venv /opt/eventstream \
    && /opt/eventstream/bin/pip install --no-cache-dir .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /srv/eventstream --create-home eventstream \
    && install -d -o eventstream -g eventstream -m 0700 /var/lib/eventstream
COPY --from=build /opt/eventstream /opt/eventstream
COPY pipelines.yaml /srv/eventstream/pipelines.yaml
COPY schemas /srv/eventstream/schemas
ENV PATH=/opt/eventstream/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATA_PATH=/var/lib/eventstream
WORKDIR /srv/eventstream
USER eventstream
VOLUME /var/lib/eventstream
EXPOSE 3000
STOPSIGNAL SIGTERM
# Any answer below 500 is a sign of life: an address that is not loopback keeps /-/ready to itself (403).
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "\
import http.client, os, sys; \
peer = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', '3000')), timeout=2); \
peer.request('GET', '/-/ready'); \
sys.exit(peer.getresponse().status >= 500)"]
ENTRYPOINT ["eventstream"]
CMD ["serve", "pipelines.yaml"]
