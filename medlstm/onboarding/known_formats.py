"""Formats that have a source of their own, known by their columns."""

from collections.abc import Sequence

from medlstm.onboarding.sample_file import FileSample


def known_format(samples: Sequence[FileSample]) -> str | None:
    """The settings of files whose format has a source of its own."""
    for sample in samples:
        names = set(sample.names())
        if sample.form == "json_lines" and "resourceType" in names:
            return _format_only("fhir")
        if sample.form == "parquet" and {"subject_id", "time", "code"} <= names:
            return _format_only("meds")
        if sample.form == "delimited" and sample.names() == ["Time", "Parameter", "Value"]:
            return _format_only("physionet2012")
        if sample.form == "parquet" and any(column.kind == "duration" for column in sample.columns):
            return _format_only("wide_parquet")
    return None


def _format_only(name: str) -> str:
    return (f"# These files are of a format that medlstm knows. `medlstm init DIR --example {name}` writes the "
            f'settings with comments.\n[source]\nformat = "{name}"\n')  # fmt: skip
