# The program and its locked packages. Settings, data and ledger are below /srv/churn, a volume.
FROM python:3.13-slim-bookworm AS packages
COPY requirements.lock requirements-drivers.lock requirements-messages.lock /
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --no-cache-dir --no-deps --require-hashes \
        -r /requirements.lock -r /requirements-drivers.lock -r /requirements-messages.lock

FROM python:3.13-slim-bookworm
ENV PATH=/venv/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib RISK_CONFIG=/srv/churn/config.json
COPY --from=packages /venv /venv
WORKDIR /app
COPY requirements.txt *.py ./
COPY risk/ risk/
COPY web/ web/
# The files may come from a checkout that only its owner can read. A new volume takes over the owner of
# the folders made here, into which others are mounted
RUN chmod -R a+rX . \
    && python -m compileall -q . \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin churn \
    && install -d -o churn -g churn /srv/churn /srv/churn/data /srv/churn/data/development /srv/churn/data/test
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /srv/churn
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
CMD ["gunicorn", "wsgi:app", "--bind", "0.0.0.0:8000"]
