"""A DAG that runs a notebook once a day and keeps each day's result. Needs: pip install bindery ipykernel

The task is what PapermillOperator does, with Bindery's engine; a failed cell fails the task, with the cell's traceback
in its log.
"""

import datetime

from airflow.decorators import dag, task


@dag(schedule="@daily", start_date=datetime.datetime(2026, 1, 1), catchup=False)
def daily_report():
    @task(execution_timeout=datetime.timedelta(hours=1))
    def execute(ds: str) -> str:
        import bindery

        output = f"/var/reports/sales-{ds}.ipynb"
        bindery.execute_notebook("/var/notebooks/sales.ipynb", output, {"day": ds}, log_output=True)
        return output

    execute()


daily_report()
