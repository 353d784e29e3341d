#!/usr/bin/env bash
# Run a flow with its Spark session on a cluster: bash scripts/spark_submit.sh FLOW [-- OPTIONS]
#
# FLOW is a file, such as flows/lakehouse/full_pipeline/flow.py; OPTIONS are the flow's own.
# Settings come from the environment, then from .env:
#
#   SPARK_MASTER          yarn (default), or spark://HOST:7077
#   HADOOP_CONF_DIR       folder of core-site.xml, hdfs-site.xml and yarn-site.xml
#   WAREHOUSE_URI         folder of the tables, such as hdfs://HOST:8020/warehouse/iceberg
#   SPARK_DYN_MIN         fewest executors (default 1)
#   SPARK_DYN_MAX         most executors (default 10)
#   ENABLE_YARN_DEFAULTS  false: allocation and adaptive execution are as in spark-defaults.conf
#   SPARK_SUBMIT_OPTIONS  more options of spark-submit, such as --queue etl --executor-memory 4g
#
# The flow starts spark-submit (in client mode), so a signal reaches the flow first, and the
# application ends with it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=$(command -v python3)

fail() { echo "error: $*" >&2; exit 1; }

case ${1:---help} in
  --help | -h) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit ;;
esac
if [ -z "${NYC_TAXI_DOTENV_READ:-}" ]; then # Bash cannot read .env
  NYC_TAXI_DOTENV_READ=1 exec "$python" -m nyc_taxi.environment "${NYC_TAXI_ENV:-}" bash "${BASH_SOURCE[0]}" "$@"
fi

flow=$1
shift
[ "${1:-}" != -- ] || shift
case $flow in
  *.py) [ -f "$flow" ] || fail "$flow does not exist; give the path of a flow, such as flows/lakehouse/full_pipeline/flow.py" ;;
  *) set -- "$flow" "$@"; flow=-m ;; # a module, such as prefect.engine
esac

export SPARK_MASTER=${SPARK_MASTER:-yarn}
command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" >/dev/null ||
  fail "Java was not found in ${JAVA_HOME:-PATH}; install Java 17 or 21, or set JAVA_HOME"
if [ "$SPARK_MASTER" = yarn ]; then
  export HADOOP_CONF_DIR=${HADOOP_CONF_DIR:-${YARN_CONF_DIR:-}}
  [ -d "${HADOOP_CONF_DIR:-}" ] || fail "HADOOP_CONF_DIR=${HADOOP_CONF_DIR:-} is not a folder;" \
    "set it to the folder of core-site.xml, hdfs-site.xml and yarn-site.xml of the cluster"
  "$python" -m nyc_taxi.storage.yarn # one line if no ResourceManager answers
fi
SPARK_HOME=${SPARK_HOME:-$("$python" -c 'import pyspark; print(pyspark.__path__[0])' 2>/dev/null)} ||
  fail "Spark is not installed; run: make spark"
has_iceberg() { compgen -G "$SPARK_HOME/jars/iceberg-spark-runtime-*.jar" >/dev/null; }
export SPARK_HOME PYSPARK_PYTHON=${PYSPARK_PYTHON:-$python}

# The code of the flows and of dbt, for Python on the executors.
code=$root/data/spark/code.zip
mkdir -p "${code%/*}"
(cd "$root" && "$python" -m zipfile -c "$code.$$" flows/nyc_taxi flows/lakehouse flows/reference dbt)
mv "$code.$$" "$code"
archive=$("$python" -c 'import pathlib, sys; print(pathlib.Path(sys.argv[1]).as_uri())' "$code")

options=(
  --master "$SPARK_MASTER"
  --deploy-mode client
  --conf "spark.archives=$archive#code"
  --conf spark.executorEnv.PYTHONPATH=code
  --conf spark.ui.showConsoleProgress=false
)
has_iceberg || options+=(--packages org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0)
if [ "${ENABLE_YARN_DEFAULTS:-true}" != false ]; then
  options+=(
    --conf spark.dynamicAllocation.enabled=true
    --conf spark.dynamicAllocation.shuffleTracking.enabled=true
    --conf "spark.dynamicAllocation.minExecutors=${SPARK_DYN_MIN:-1}"
    --conf "spark.dynamicAllocation.maxExecutors=${SPARK_DYN_MAX:-10}"
    --conf spark.sql.adaptive.enabled=true
    --conf spark.yarn.am.clientModeTreatDisconnectAsFailed=true
  )
fi
PYSPARK_SUBMIT_ARGS="$(printf '%q ' "${options[@]}") ${SPARK_SUBMIT_OPTIONS:-} pyspark-shell"
export PYSPARK_SUBMIT_ARGS
exec "$python" "$flow" "$@"
