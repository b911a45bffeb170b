# `rilievo serve` in a container: docker build -t rilievo . && docker run -p 8000:8000 rilievo
# The core and the extra 'serve' alone: no torch, no GPU. docs/serve.md has the options.
FROM python:3.12-slim AS wheel
COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY examples /build/examples
COPY src /build/src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /build

FROM python:3.12-slim
# The server reads no videos, so there is no PyAV here. docs/wheels.md names what of copyleft is left:
# GCC's runtime in numpy's wheel, which any program may use, and tqdm.
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(ls /wheels/*.whl)[serve]"
RUN useradd --create-home --uid 10001 rilievo

USER rilievo
WORKDIR /home/rilievo
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["rilievo", "serve", "--host", "0.0.0.0"]
