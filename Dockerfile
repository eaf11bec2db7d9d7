# `captioner serve` for CPUs, with the models in the package: docker build -t captioner . && docker run -p 127.0.0.1:8000:8000 -e CAPTIONER_TOKEN=... captioner
FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
RUN pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY . /source
RUN pip install "/source[serve]"

FROM python:3.12-slim
# what OpenCV needs of the system
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home captioner
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/home/captioner/.cache
USER captioner
# the CNN is converted once, here, so that a container's first answer is quick
RUN python -c "import numpy as np; from captioner import load; load('photos').caption([np.zeros((64, 64, 3), np.uint8)])"
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
# it listens beyond the container, so it wants CAPTIONER_TOKEN
ENTRYPOINT ["captioner", "serve", "--host", "0.0.0.0"]
