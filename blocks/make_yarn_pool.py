"""Save the work pool `yarn-pool`: worker processes that run each flow by scripts/spark_submit.sh.

Its worker runs in this checkout on a machine that reaches the cluster, with HADOOP_CONF_DIR set.
"""

from nyc_taxi.cli import script

from nyc_taxi.orchestration.work_pools import save_pool
from nyc_taxi.settings import ROOT

POOL = "yarn-pool"


def main() -> None:
    save_pool(
        POOL,
        "process",
        command="bash scripts/spark_submit.sh prefect.engine",
        working_dir=str(ROOT),
        env={"NYC_TAXI_ROOT": str(ROOT)},
    )
    print(f"work pool {POOL}: scripts/spark_submit.sh in {ROOT}")


if __name__ == "__main__":
    script(main)
