#!/usr/bin/env bash
# Run a flow with its Spark session on a cluster: scripts/spark_submit.sh FLOW [-- OPTIONS]
#
# FLOW is a file, such as flows/lakehouse/full_pipeline/flow.py; OPTIONS are the flow's own.
#
#   SPARK_MASTER          yarn (default), or spark://HOST:7077
#   HADOOP_CONF_DIR       folder of core-site.xml, hdfs-site.xml and yarn-site.xml
#   WAREHOUSE_URI         folder of the tables, such as hdfs://HOST:8020/warehouse/iceberg
#   SPARK_DYN_MIN         executors to keep (default 1)
#   SPARK_DYN_MAX         most executors (default 10)
#   ENABLE_YARN_DEFAULTS  false: allocation and adaptive execution as in spark-defaults.conf
#
# The flow starts spark-submit, in client mode, and not the other way round: a signal reaches the
# flow first, and the application ends with it.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYSPARK_DRIVER_PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3

[ $# -ge 1 ] && [ "$1" != --help ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 0; }
flow=$1
shift
[ "${1:-}" != -- ] || shift
case $flow in
  *.py) [ -f "$flow" ] || fail "$flow does not exist; give the path of a flow.py" ;;
  *) flow="-m $flow" ;; # a module: prefect.engine of a worker
esac

eval "$("$python" "$root/scripts/spark_environment.py")" # .env, which Bash cannot read
export SPARK_MASTER=${SPARK_MASTER:-yarn}
SPARK_HOME=${SPARK_HOME:-$("$python" -c 'import pyspark; print(pyspark.__path__[0])' 2>/dev/null)} ||
  fail "Spark is not installed; run: make spark"
export SPARK_HOME PYSPARK_PYTHON=${PYSPARK_PYTHON:-$python}
[ -x "${JAVA_HOME:+$JAVA_HOME/bin/}java" ] || command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" >/dev/null ||
  fail "Java was not found in ${JAVA_HOME:-PATH}; install Java 17 or 21, or set JAVA_HOME"
