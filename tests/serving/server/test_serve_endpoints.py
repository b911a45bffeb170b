"""A row of the endpoints is all that a new address needs."""

from pathlib import Path

import numpy as np
import pytest
from starlette.responses import JSONResponse, Response

from rilievo.serving.server import endpoints, routes
from rilievo.serving.server.endpoint import Example
from rilievo.serving.server.endpoints import photo_endpoint
from rilievo.serving.server.params import RequestParams
from rilievo.serving.server.service import ImageJob, Service
from support.served import check_refused, picture, served


class ShareParams(RequestParams):
    """Parameters of the endpoint of this test."""

    below: float = 1.0
    """Depth below which pixels count."""


async def share(service: Service, job: ImageJob, params: ShareParams) -> Response:
    prediction = await service.predict(job, params)
    return JSONResponse({"share": float(np.mean(prediction.depth.values < params.below))})


def test_a_row_is_answered_checked_and_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = photo_endpoint(
        "/v1/share",
        ShareParams,
        share,
        name="share",
        summary="The share of near pixels.",
        json_keys=("share",),
        examples=(Example("below=150", "share.json"),),
    )
    monkeypatch.setattr(routes, "ENDPOINTS", (*endpoints.ENDPOINTS, row))
    with served(tmp_path) as server:
        # The depth of this model rises evenly from the brightness to twice the brightness.
        answer = server.client.post("/v1/share?below=150", content=picture(100))
        assert answer.json()["share"] == pytest.approx(0.5, abs=0.05)
        check_refused(server.client.post("/v1/share?below=far", content=picture()), 400, "below")
        check_refused(server.client.post("/v1/share?near=1", content=picture()), 400, "'near'")
        check_refused(server.client.post("/v1/share", content=b""), 400, "no image")
        check_refused(server.client.get("/v1/share"), 405, "POST")

        operation = server.client.get("/openapi.json").json()["paths"]["/v1/share"]["post"]
        assert operation["operationId"] == "share"
        described = {entry["name"]: entry["description"] for entry in operation["parameters"]}
        assert described["below"] == "Depth below which pixels count."
        content = operation["responses"]["200"]["content"]
        assert content == {
            "application/json": {"schema": {"type": "object", "required": ["share"]}}
        }
        page = server.client.get("/docs").text
        assert "<dt><code>POST /v1/share</code></dt><dd>The share of near pixels.</dd>" in page
        assert "v1/share?below=150&#x27; -o share.json" in page
        assert 'route="/v1/share",status="200"' in server.client.get("/metrics").text


def test_only_the_public_address_needs_no_token(tmp_path: Path) -> None:
    with served(tmp_path, tokens=("secret",)) as server:
        for endpoint in endpoints.ENDPOINTS:
            answer = server.client.request(endpoint.method, endpoint.path)
            assert (answer.status_code == 401) is not endpoint.is_public, endpoint.path
        assert [row.path for row in endpoints.ENDPOINTS if row.is_public] == ["/healthz"]
