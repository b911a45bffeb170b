# `rilievo serve` in a container: docker build -t rilievo . && docker run -p 8000:8000 rilievo
# The core and the extra 'serve' alone: no torch, no GPU. docs/serve.md has the options.
# All packages are those that the tests ran with, by their hashes (docs/wheels.md).
# At a release, name the base by the digest that `docker buildx imagetools inspect python:3.11-slim`
# prints: ARG BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim

FROM ${BASE} AS wheel
COPY requirements /build/requirements
RUN pip install --no-cache-dir --require-hashes -r /build/requirements/tested-build.txt
COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY examples /build/examples
COPY src /build/src
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels /build

FROM ${BASE}
# The server reads no videos, so there is no PyAV here. docs/wheels.md names what of copyleft is left:
# GCC's runtime in numpy's wheel, which any program may use, and tqdm.
RUN --mount=type=bind,from=wheel,source=/build/requirements,target=/requirements \
    --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --require-hashes -r /requirements/tested-serve.txt \
    && pip install --no-cache-dir --no-deps /wheels/*.whl
RUN useradd --create-home --uid 10001 rilievo

USER rilievo
WORKDIR /home/rilievo
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["rilievo", "serve", "--host", "0.0.0.0"]
