from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from agentflow_code.inside.calls import Refused
from agentflow_code.sql import inside


def by_name(found):
    return {column["name"]: column for column in found["columns"]}


def test_a_file_is_profiled(payload, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("n,s,d\n1,a,2024-01-01\n2,b,2024-01-03\n3,b,\n", encoding="utf-8")
    found = inside.profile(payload(files={"t.csv": path}, path="t.csv"))
    columns = by_name(found)
    assert (found["row_count"], found["column_count"]) == (3, 3)
    assert columns["n"]["mean"] == 2.0
    assert columns["n"]["quantiles"]["0.5"] == 2.0
    assert columns["s"]["top"][0] == {"value": "b", "count": 2}
    assert (columns["s"]["shortest"], columns["s"]["longest"]) == (1, 1)
    assert (columns["d"]["nulls"], columns["d"]["min"]) == (1, "2024-01-01")


@pytest.mark.parametrize(
    "value",
    [
        pd.Series([1.5, None, float("inf")], name="x"),
        [{"a": 1}, {"a": 2, "b": "x"}],
        np.arange(6).reshape(3, 2),
        pd.DataFrame({"a": [1, "x", None], "A": [1, 2, 3]}),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
        pd.DataFrame({"t": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Vienna")}),
        pd.DataFrame({"c": pd.Categorical(["u", "v"]), "i": pd.interval_range(0, 2), "z": [1j, 2j]}),
        pd.DataFrame({"d": [datetime.date(2024, 1, 1), None], "l": [[1], [2]], "b": [True, None]}),
        pd.DataFrame({"empty": []}),
    ],
)
def test_variables_of_many_kinds_are_profiled(payload, variables, value):
    variables |= {"v": value}
    found = inside.profile(payload(variable="v"))
    assert found["columns"]
    assert all("dtype" in column for column in found["columns"])


@pytest.mark.parametrize("value", [3, "text", object(), pd.DataFrame()])
def test_what_is_no_table_is_refused(payload, variables, value):
    variables |= {"v": value}
    with pytest.raises(Refused) as caught:
        inside.profile(payload(variable="v"))
    assert caught.value.code == "invalid_argument"


def test_an_unknown_variable_names_the_nearest(payload, variables):
    variables |= {"frame": 1, "_hidden": 2}
    with pytest.raises(Refused) as caught:
        inside.profile(payload(variable="fram"))
    assert (caught.value.code, caught.value.data) == ("not_found", {"nearest": ["frame"]})


def test_a_database_is_described_by_the_schema_instead(payload, shop):
    with pytest.raises(Refused, match="is a database"):
        inside.profile(payload(databases={"shop": shop}, path="shop"))
