"""The addresses of ``rilievo app``: the page, its results, videos and files."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from rilievo.serving.app.app_photographs import (
    PHOTO,
    THUMBNAIL,
    VIEW,
    PhotoResults,
    results_zip_response,
)
from rilievo.serving.app.app_videos import OUTPUT_FOLDER, Videos
from rilievo.serving.app.result_store import ResultStore, StoredResult
from rilievo.serving.browser.document import POLICY
from rilievo.serving.browser.folder import INDEX
from rilievo.serving.listener.connections import request_client, wait_for_disconnect
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.answer_files import JSON
from rilievo.serving.server.endpoint import Endpoint
from rilievo.serving.server.file_responses import FilesResponse
from rilievo.serving.server.params import (
    PredictParams,
    VideoParams,
    parse_output_names,
    read_params,
)
from rilievo.serving.server.service import Service
from rilievo.serving.server.uploads import Upload, safe_stem

_MAX_RESULTS_PER_REQUEST = 100

_PAGE_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_SWEEP_SECONDS = 20.0  # between two deletions of old results
_MAX_MARK_BYTES = 4000
_PAGE_PARAMETERS = ("name", "again", "example")  # all others are parameters of a prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Endpoints of the app.

    Attributes:
        page: Folder with the files of the page.
        embed_origins: Sites that may embed the page in their own pages; empty for none.
    """

    page: Path
    service: Service
    store: ResultStore
    photographs: PhotoResults
    videos: Videos
    embed_origins: tuple[str, ...] = ()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """While the app is served, delete old results; at the end, stop the work on videos."""
        sweeping = asyncio.create_task(self._delete_old_results_forever())
        try:
            yield
        finally:
            sweeping.cancel()
            await self.videos.close()

    async def _delete_old_results_forever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.store.remove_unused()

    def endpoints(self) -> list[Endpoint]:
        """All endpoints of the app."""

        def row(
            address: str, respond: Callable[[Request], Awaitable[Response]], summary: str
        ) -> Endpoint:
            return Endpoint(
                address=address, respond=lambda service, request: respond(request), summary=summary
            )

        return [
            row("GET /", self._send_page, "The page."),
            row(
                "GET /r/{ids}",
                self._send_page,
                "The page with one or more results, whose ids are separated by commas.",
            ),
            row(
                "GET /embed",
                self._send_embed,
                "The page for other sites to embed, without uploads.",
            ),
            row(
                "GET /embed/{ids}",
                self._send_embed,
                "The page for other sites to embed, with results.",
            ),
            row(
                "POST /app/results",
                self._predict_upload_result_or_example,
                "Predict an uploaded photograph or an example, or predict a result again.",
            ),
            row(
                "POST /app/groups",
                self._create_result_group,
                "Create one address that shows several results (ids) together.",
            ),
            row(
                "GET /app/results/{id}",
                self._describe_result_or_group,
                "Name, kind and progress of a result.",
            ),
            row(
                "GET /app/results/{id}/view",
                self._send_view,
                "Depth and photograph of a result, in the format of the page.",
            ),
            row(
                "GET /app/results/{id}/thumbnail",
                self._send_thumbnail,
                "A thumbnail of the photograph.",
            ),
            row("GET /app/results/{id}/photo", self._send_photograph, "The original photograph."),
            row(
                "GET /app/results/{id}/files",
                self._send_output_files,
                "Output files of a result, as /v1/predict returns them.",
            ),
            row(
                "GET /app/results/{id}/made/{name}",
                self._send_video_output,
                "An output file of a video.",
            ),
            row(
                "PUT /app/results/{id}/marks",
                self._replace_marks,
                "Save the lines and the view of a result. Only its creator has the required key.",
            ),
            row("POST /app/results/{id}/stop", self._stop_video, "Stop processing a video."),
            row("POST /app/videos", self._begin_video, "Start processing a video."),
            row("GET /app/zip", self._send_zip, "Output files of several results (ids) as a zip."),
        ]

    def last_routes(self) -> list[BaseRoute]:
        """A route for the files of the page."""
        return [Mount("/", _TimedStaticFiles(self.page, self._download_seconds))]

    @property
    def _download_seconds(self) -> float | int:
        """Time in which a client has to receive a file [s]."""
        return self.service.options.limits.download_seconds

    async def _send_page(self, request: Request) -> Response:
        return _TimedFileResponse(
            self.page / INDEX,
            headers=_PAGE_HEADERS,
            timeout_seconds=self._download_seconds,
        )

    async def _send_embed(self, request: Request) -> Response:
        if not self.embed_origins:
            raise Refusal(
                404,
                "this page cannot be embedded yet: list the sites that may embed it in "
                "embed_origins, an option of 'rilievo app'",
            )
        policy = f"{POLICY}; frame-ancestors {' '.join(self.embed_origins)}"
        return _TimedFileResponse(
            self.page / INDEX,
            headers={**_PAGE_HEADERS, "Content-Security-Policy": policy},
            timeout_seconds=self._download_seconds,
        )

    async def _predict_upload_result_or_example(self, request: Request) -> Response:
        """Predict an example, the photograph of a stored result again, or an upload.

        The query names the example or the result.
        """
        params = read_params(PredictParams, _query_without_page_parameters(request), {})
        self._check_parameters(params)
        example = request.query_params.get("example")
        if example is not None:
            return await self._respond_with_example(request, example, params)

        client = request_client(request)
        earlier_id = request.query_params.get("again")
        if earlier_id is None:
            upload = await self._receive_named_upload(request, client)
        else:
            upload = self.photographs.photograph_upload(self._photograph_result(earlier_id))
        result = await self.photographs.predict(
            upload, client, params, lambda: wait_for_disconnect(request)
        )
        self.store.release(result)
        return JSONResponse({"id": result.id, "name": result.name, "key": result.key})

    def _check_parameters(self, params: PredictParams) -> None:
        params.check_options()
        self.service.offered.server_name(params.model)  # raises for an unknown model

    async def _respond_with_example(
        self, request: Request, name: str, params: PredictParams
    ) -> Response:
        result = await self.photographs.example_result(
            name, request_client(request), params, lambda: wait_for_disconnect(request)
        )
        self.store.release(result)
        # Without a key: all visitors share an example, so none of them may change its marks.
        return JSONResponse({"id": result.id, "name": result.name})

    async def _replace_marks(self, request: Request) -> Response:
        """Replace a result's marks (lines and view) by the body, a fragment of the page's URL."""
        upload = await self.service.uploads.read(request, request_client(request))
        try:
            if upload.size > _MAX_MARK_BYTES:
                raise Refusal(
                    413, f"the marks have more than {_MAX_MARK_BYTES} bytes: remove lines"
                )
            content = upload.read()
        finally:
            upload.close()
        key = request.query_params.get("key", "")
        marks = content.decode("ascii", "replace")  # the store refuses replacement characters
        self.store.replace_marks(request.path_params["id"], key, marks)
        return JSONResponse({"marks": marks})

    async def _begin_video(self, request: Request) -> Response:
        params = read_params(VideoParams, _query_without_page_parameters(request), {})
        client = request_client(request)
        upload = await self._receive_named_upload(request, client)
        outputs = [name for name in params.save.split(",") if name]
        result = await self.videos.store_and_queue(upload, client, params.model, outputs)
        return JSONResponse({"id": result.id, "name": result.name})

    async def _receive_named_upload(self, request: Request, client: str) -> Upload:
        self.service.slots(is_heavy=False).refuse_if_full()
        upload = await self.service.uploads.read(request, client)
        upload.name = safe_stem(request.query_params.get("name"))
        return upload

    async def _create_result_group(self, request: Request) -> Response:
        return JSONResponse({"id": self.store.create_group(_parse_result_ids(request))})

    async def _describe_result_or_group(self, request: Request) -> Response:
        result_id = request.path_params["id"]
        member_ids = self.store.group_members(result_id)
        if member_ids is not None:
            return JSONResponse({"id": result_id, "kind": "group", "ids": [*member_ids]})
        result = self.store.find(result_id)
        record = {"id": result.id, "name": result.name}
        video_work = self.videos.find(result)
        if video_work is None:
            return JSONResponse({**record, "kind": "photograph", "marks": result.marks})
        return JSONResponse({**record, "kind": "video", **video_work.progress_record()})

    async def _send_view(self, request: Request) -> Response:
        result = self._photograph_result(request.path_params["id"])
        return self._send_pinned_file(result, result.path / VIEW, "application/octet-stream")

    async def _send_thumbnail(self, request: Request) -> Response:
        result = self._photograph_result(request.path_params["id"])
        return self._send_pinned_file(result, result.path / THUMBNAIL, "image/jpeg")

    async def _send_photograph(self, request: Request) -> Response:
        result = self._photograph_result(request.path_params["id"])
        path = result.path / PHOTO
        return self._send_pinned_file(result, path, "application/octet-stream", "attachment")

    async def _send_video_output(self, request: Request) -> Response:
        result = self.store.find(request.path_params["id"])
        name = request.path_params["name"]
        work = self.videos.find(result)
        if work is None or name not in work.files:
            raise Refusal(
                404, "this result has no such file: GET /app/results/ID lists the files of a video"
            )
        disposition = "attachment" if "download" in request.query_params else "inline"
        return self._send_pinned_file(result, result.path / OUTPUT_FOLDER / name, None, disposition)

    async def _stop_video(self, request: Request) -> Response:
        work = self.videos.find(self.store.find(request.path_params["id"]))
        if work is None:
            raise Refusal(404, "this result is not a video, so there is nothing to stop")
        work.stop_requested.set()
        return JSONResponse({"state": "stopping"})

    async def _send_output_files(self, request: Request) -> Response:
        result_id = request.path_params["id"]
        changes = read_params(PredictParams, request.query_params.multi_items(), {})
        outputs = parse_output_names(request.query_params.get("save", "all"))
        if outputs == (JSON,):
            raise Refusal(400, "'save' must name an output other than json")
        self._photograph_result(result_id)  # refuses a video's result, which has no such outputs
        with self.store.pinned(result_id) as result:
            prediction, written = await self.photographs.write_outputs(
                result,
                request_client(request),
                changes,
                outputs,
                lambda: wait_for_disconnect(request),
            )
        return FilesResponse(prediction, written, self._download_seconds)

    async def _send_zip(self, request: Request) -> Response:
        ids = _parse_result_ids(request)
        outputs = parse_output_names(request.query_params.get("save", "png16"))
        results = [self._photograph_result(result_id) for result_id in ids]
        for result in results:
            result.num_pins += 1
        return results_zip_response(
            self.photographs,
            self.store,
            results,
            client=request_client(request),
            outputs=outputs,
            timeout_seconds=self._download_seconds,
        )

    def _photograph_result(self, result_id: str) -> StoredResult:
        result = self.store.find(result_id)
        if self.videos.find(result) is not None:
            raise Refusal(
                404, "this result is a video, but this address only exists for photographs"
            )
        return result

    def _send_pinned_file(
        self, result: StoredResult, path: Path, media_type: str | None, disposition: str = "inline"
    ) -> Response:
        """Send a file of a result, and keep it from being deleted meanwhile."""
        result.num_pins += 1
        return _PinnedFileResponse(
            path,
            media_type=media_type,
            filename=path.name,
            content_disposition_type=disposition,
            release=lambda: self.store.release(result),
            timeout_seconds=self._download_seconds,
        )


def _parse_result_ids(request: Request) -> list[str]:
    """Parse the parameter ``ids``, which holds ids of results, separated by commas."""
    ids = [part for part in request.query_params.get("ids", "").split(",") if part]
    if not ids:
        raise Refusal(400, "no results given: list their ids in 'ids', separated by commas")
    if len(ids) > _MAX_RESULTS_PER_REQUEST:
        raise Refusal(
            400, f"'ids' takes at most {_MAX_RESULTS_PER_REQUEST} results, got {len(ids)}"
        )
    return ids


def _query_without_page_parameters(request: Request) -> list[tuple[str, str]]:
    return [pair for pair in request.query_params.multi_items() if pair[0] not in _PAGE_PARAMETERS]


class _TimedStaticFiles(StaticFiles):
    """Serves the files of the page with its headers; a client has to read them in time."""

    def __init__(self, folder: Path, timeout_seconds: float | int) -> None:
        super().__init__(directory=folder)
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send_in_time(self._timeout_seconds, super().__call__(scope, receive, send))

    def file_response(self, *values: Any, **kwargs: Any) -> Response:
        response = super().file_response(*values, **kwargs)
        response.headers.update(_PAGE_HEADERS)
        return response


class _TimedFileResponse(FileResponse):
    """Response with a file, which is cut off if the client does not read it in time."""

    # Each chunk is read in a thread. With small chunks, switching threads costs more than reading.
    chunk_size = 2**20

    def __init__(self, path: Path, *, timeout_seconds: float | int, **kwargs: Any) -> None:
        super().__init__(path, **kwargs)
        self._timeout_seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send_in_time(self._timeout_seconds, super().__call__(scope, receive, send))


class _PinnedFileResponse(_TimedFileResponse):
    """Response with a file that must not be deleted meanwhile.

    ``release`` is called once the file has been sent, or sending has failed.
    """

    def __init__(self, path: Path, *, release: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(path, **kwargs)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


async def _send_in_time(timeout_seconds: float | int, sending: Coroutine[Any, Any, None]) -> None:
    """Stop sending after a time; the server then closes the incomplete connection."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            await sending
