"""Gold -> one self-contained HTML page.

Run it with `python flows/lakehouse/report/flow.py` or `python -m lakehouse.report.flow`.
"""

from nyc_taxi.cli import command

from prefect import flow

from nyc_taxi.orchestration.run_months import check_stores

from .tasks import link_page, read_numbers, write_page


@flow(name="report")
def report() -> str:
    """Write the page of what is in gold to report.html in NYC_TAXI_DATA_DIR."""
    check_stores("warehouse")
    page = write_page(read_numbers())
    link_page(page)
    print(f"report: {page}")
    return str(page)


if __name__ == "__main__":
    command(report, "warehouse")
