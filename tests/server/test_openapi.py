"""The OpenAPI document describes what the server does: requests made from it lead to answers as it says."""

from __future__ import annotations

from collections import Counter

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from agentflow_core.sandbox.server.openapi import openapi

schemathesis = pytest.importorskip("schemathesis")


def test_every_schema_of_the_document_is_one():
    for schema in openapi()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_requests_made_from_the_document_are_answered_as_it_says_and_never_with_500(serve):
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    server = serve("--set", "limits.probe.timeout_s=0.2")
    statuses: Counter[int] = Counter()
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    document = schemathesis.openapi.from_dict(openapi())
    for found in document.get_all_operations():
        operation = found.ok()
        if operation.path == "/v1/admin/drain":
            continue
        for mode in schemathesis.GenerationMode:
            takes_something = operation.body or operation.query or operation.path_parameters
            if mode is schemathesis.GenerationMode.NEGATIVE and not takes_something:
                continue

            @settings(
                max_examples=30,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode))
            def fuzz(case):
                if isinstance(case.body, dict) and isinstance(tool := case.body.get("tool"), str) and len(tool) % 2:
                    case.body["tool"] = "probe:echo"
                answer = case.call(base_url=server.url)
                statuses[answer.status_code] += 1
                assert answer.status_code != 500, answer.text
                case.validate_response(answer, checks=checks)

            fuzz()
    assert {200, 201, 400, 404} <= statuses.keys()
