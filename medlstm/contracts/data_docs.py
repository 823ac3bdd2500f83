"""Great Expectations' own page (Data Docs) of how a date's rows met their contract: counts only, never a value.

Off by default (contracts.data_docs): in a browser these pages load their looks from the internet.
"""

from datetime import date
from typing import Any

from medlstm.contracts.check_rows import TableContract
from medlstm.contracts.plausible_limits import VARIABLE_RULE
from medlstm.contracts.results import ContractReport
from medlstm.contracts.suites import gx_context
from medlstm.lake.files import Workspace, write_text


def write_data_docs(workspace: Workspace, contract: TableContract, report: ContractReport, day: date) -> None:
    """Write reports/<day>/data_docs/<table>.html."""
    write_text(data_docs_page(contract, report, day), workspace.report(day) / "data_docs" / f"{report.table}.html")


def data_docs_page(contract: TableContract, report: ContractReport, day: date) -> str:
    """The page of one table of a date, from the counts of its report. Rows that could not be read as what their column
    holds, and exact duplicates, came to no expectation and are not on it."""
    gx_context()
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    judged = report.rows_in - report.exact_duplicates
    broken = {one.rule: one.rows for one in report.rules}
    results = [
        _result(one.type, one.kwargs, one.meta.description, broken.get(one.meta.rule, 0), judged)
        for one in contract.suite.expectations
        if not one.meta.by_variable
    ]
    for variable, limit in contract.limits.by_variable.items():
        rows = broken.get(VARIABLE_RULE.format(variable=variable), 0)
        if rows:
            kwargs = {"column": "value", "min_value": limit.lower, "max_value": limit.upper}
            words = contract.limits.describe(variable)
            results.append(_result("expect_column_values_to_be_between", kwargs, words, rows, judged))
    met = sum(one.success for one in results)
    run = {"run_name": report.table, "run_time": f"{day.isoformat()}T00:00:00+00:00"}
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": met,
        "unsuccessful_expectations": len(results) - met,
        "success_percent": 100 * met / len(results) if results else None,
    }
    whole = ExpectationSuiteValidationResult(
        success=met == len(results), results=results, suite_name=contract.suite.name, statistics=statistics,
        meta={"run_id": run, "active_batch_definition": None},
    )  # fmt: skip
    return str(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(whole)))


def _result(kind: str, kwargs: dict[str, Any], description: str, rows: int, judged: int) -> Any:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    share = 100 * rows / judged if judged else 0.0
    return ExpectationValidationResult(
        success=not rows,
        expectation_config=ExpectationConfiguration(type=kind, kwargs=kwargs, description=description),
        result={"element_count": judged, "unexpected_count": rows, "unexpected_percent": share},
        exception_info={"raised_exception": False, "exception_message": None, "exception_traceback": None},
    )
