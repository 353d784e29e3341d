# One image for the Prefect server, the workers and the flow runs.
FROM python:3.11-slim
LABEL org.opencontainers.image.licenses=Apache-2.0

ENV PYTHONUNBUFFERED=1 PYTHONPATH=/opt/prefect/flows \
    PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1

WORKDIR /opt/prefect

# The layer that rarely changes. The list is complete, so there is nothing to resolve. Removed: the
# libraries' tests (not those in dbt/include, which test tables), Arrow's headers, Flight and S3, and
# the descriptions of Google and AWS services that neither flows nor workers (Cloud Run, ECS) use.
# pip's bytecode is kept: without it each start takes 50% longer.
COPY docker-requirements.txt .
RUN pip install --no-cache-dir --no-deps --requirement docker-requirements.txt \
 && cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && find . -path ./dbt/include -prune -o -name tests -type d -prune -exec rm -r {} + \
 && rm -r pyarrow/include pyarrow/*flight* pyarrow/*_s3* \
 && find googleapiclient/discovery_cache/documents -type f ! -name 'run.v*' -delete \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d \
    | grep -Ev '/(batch|ec2|ecs|lambda|logs|s3|secretsmanager|ssm|sso|sso-oidc|sts)$' | xargs rm -r

# Data of the flows. Not under /opt/prefect: Prefect copies it for a run without a pull step.
ENV NYC_TAXI_DATA_DIR=/data NYC_TAXI_LAKE=local:/data/lake \
    NYC_TAXI_WAREHOUSE=duckdb:/data/warehouse.duckdb
RUN useradd --create-home --uid 1000 prefect && mkdir /data && chown prefect /data
USER prefect

COPY prefect.yaml .
COPY local_services/credentials.json local_services/
COPY blocks blocks
COPY dbt dbt
COPY flows flows

# The same check for the server, workers and flow runs: the API answers.
ENV PREFECT_API_URL=http://127.0.0.1:4200/api
COPY docker/healthy.py docker/prefect_server.py docker/
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "docker/healthy.py"]
