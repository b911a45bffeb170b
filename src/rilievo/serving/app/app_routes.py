"""The addresses of ``rilievo app``: the page, its results, videos and files."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from rilievo.serving.app.app_photographs import (
    PHOTO,
    THUMBNAIL,
    VIEW,
    PhotoResults,
    results_zip_response,
)
from rilievo.serving.app.app_videos import MADE, Videos
from rilievo.serving.app.result_store import ResultStore, StoredResult
from rilievo.serving.browser.document import POLICY
from rilievo.serving.browser.folder import INDEX
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.answer_files import JSON
from rilievo.serving.server.file_responses import files_response
from rilievo.serving.server.params import (
    PredictParams,
    VideoParams,
    parse_output_names,
    read_params,
)
from rilievo.serving.server.routes import client_departure, request_client, with_refusals
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
    """The app behind all addresses.

    Attributes:
        page: Folder with the files of the page.
        embed_origins: Sites that may show the page inside one of theirs; empty for none.
    """

    page: Path
    service: Service
    store: ResultStore
    photographs: PhotoResults
    videos: Videos
    embed_origins: tuple[str, ...] = ()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Context in which the app is served: deletes old results, and stops videos at the end."""
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

    def routes(self) -> list[BaseRoute]:
        """Routes of all addresses, whose summaries the OpenAPI document shows.

        The last one serves the files of the page.
        """

        def route(
            address: str, handler: Callable[[Request], Awaitable[Response]], summary: str
        ) -> BaseRoute:
            method, path = address.split()
            endpoint = with_refusals(self.service, lambda service, request: handler(request))
            return Route(path, endpoint, methods=[method], name=summary)

        download_seconds = self.service.options.limits.download_seconds
        return [
            route("GET /", self._main_page, "The page."),
            route(
                "GET /r/{ids}",
                self._main_page,
                "The page with results that are there, by ids with commas between.",
            ),
            route(
                "GET /embed", self._embedded_page, "The page without uploads, inside another one."
            ),
            route("GET /embed/{ids}", self._embedded_page, "The same with results, by ids."),
            route(
                "POST /app/results",
                self._predict_upload_result_or_example,
                "Predict a photograph, or that of a result (again) or an example.",
            ),
            route(
                "POST /app/groups",
                self._create_result_group,
                "Give results (ids) that are shown together an address of their own.",
            ),
            route(
                "GET /app/results/{id}",
                self._describe_result_or_group,
                "Name, kind and progress of a result.",
            ),
            route(
                "GET /app/results/{id}/view", self._view_file, "Depth and photograph for the page."
            ),
            route(
                "GET /app/results/{id}/thumbnail",
                self._thumbnail_file,
                "The photograph, small, as JPEG.",
            ),
            route(
                "GET /app/results/{id}/photo",
                self._photograph_file,
                "The photograph as it was sent.",
            ),
            route(
                "GET /app/results/{id}/files",
                self._send_output_files,
                "Files of a result, as /v1/predict gives them.",
            ),
            route(
                "GET /app/results/{id}/made/{name}",
                self._video_output_file,
                "A file that was made of a video.",
            ),
            route(
                "PUT /app/results/{id}/marks",
                self._store_marks,
                "Keep lines and view with a result, by the key of whoever made it.",
            ),
            route("POST /app/results/{id}/stop", self._stop_video, "Stop the work on a video."),
            route("POST /app/videos", self._begin_video, "Begin the work on a video."),
            route("GET /app/zip", self._zip_of_results, "Files of several results (ids) as a zip."),
            Mount("/", _TimedStaticFiles(self.page, download_seconds)),
        ]

    async def _main_page(self, request: Request) -> Response:
        return _TimedFileResponse(
            self.page / INDEX,
            headers=_PAGE_HEADERS,
            seconds=self.service.options.limits.download_seconds,
        )

    async def _embedded_page(self, request: Request) -> Response:
        if not self.embed_origins:
            raise Refusal(
                404,
                "this server is not embedded: the option embed_origins of 'rilievo app' says where",
            )
        policy = f"{POLICY}; frame-ancestors {' '.join(self.embed_origins)}"
        return _TimedFileResponse(
            self.page / INDEX,
            headers={**_PAGE_HEADERS, "Content-Security-Policy": policy},
            seconds=self.service.options.limits.download_seconds,
        )

    async def _predict_upload_result_or_example(self, request: Request) -> Response:
        """Predict the example that the query names, the photograph of a result, or an upload."""
        params = read_params(PredictParams, _query_without_page_parameters(request), {})
        self._check_parameters(params)
        example = request.query_params.get("example")
        if example is not None:
            return await self._respond_with_example(request, example, params)

        client = request_client(request)
        again = request.query_params.get("again")
        if again is None:
            upload = await self._receive_named_upload(request, client)
        else:
            upload = self.photographs.photograph_upload(self._photograph_result(again))
        result = await self.photographs.predict(
            upload, client, params, lambda: client_departure(request)
        )
        self.store.release(result)
        return JSONResponse({"id": result.id, "name": result.name, "key": result.key})

    def _check_parameters(self, params: PredictParams) -> None:
        """Refuse wrong parameters before the upload is read."""
        _ = params.options, params.saving  # these properties check what they are made of
        self.service.offered.server_name(params.model)

    async def _respond_with_example(
        self, request: Request, name: str, params: PredictParams
    ) -> Response:
        result = await self.photographs.example_result(
            name, request_client(request), params, lambda: client_departure(request)
        )
        self.store.release(result)
        # Without a key: all visitors share an example, so none of them may change its marks.
        return JSONResponse({"id": result.id, "name": result.name})

    async def _store_marks(self, request: Request) -> Response:
        upload = await self.service.uploads.read(request, request_client(request))
        try:
            if upload.size > _MAX_MARK_BYTES:
                raise Refusal(413, f"marks have at most {_MAX_MARK_BYTES} bytes")
            content = upload.read()
        finally:
            upload.close()
        key = request.query_params.get("key", "")
        marks = content.decode("ascii", "replace")
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
        return JSONResponse({"id": self.store.create_group(_result_ids_of_query(request))})

    async def _describe_result_or_group(self, request: Request) -> Response:
        id = request.path_params["id"]
        members = self.store.group_members(id)
        if members is not None:
            return JSONResponse({"id": id, "kind": "group", "ids": [*members]})
        result = self.store.find(id)
        record = {"id": result.id, "name": result.name}
        work = self.videos.find(result)
        if work is None:
            return JSONResponse({**record, "kind": "photograph", "marks": result.marks})
        return JSONResponse({**record, "kind": "video", **work.page_record()})

    async def _view_file(self, request: Request) -> Response:
        result = self._photograph_result(request.path_params["id"])
        return self._pinned_file_response(result, result.path / VIEW, "application/octet-stream")

    async def _thumbnail_file(self, request: Request) -> Response:
        result = self._photograph_result(request.path_params["id"])
        return self._pinned_file_response(result, result.path / THUMBNAIL, "image/jpeg")

    async def _photograph_file(self, request: Request) -> Response:
        result = self._photograph_result(request.path_params["id"])
        path = result.path / PHOTO
        return self._pinned_file_response(result, path, "application/octet-stream", "attachment")

    async def _video_output_file(self, request: Request) -> Response:
        result = self.store.find(request.path_params["id"])
        name = request.path_params["name"]
        work = self.videos.find(result)
        if work is None or name not in work.files:
            raise Refusal(404, "this result has no such file")
        disposition = "attachment" if "download" in request.query_params else "inline"
        return self._pinned_file_response(result, result.path / MADE / name, None, disposition)

    async def _stop_video(self, request: Request) -> Response:
        work = self.videos.find(self.store.find(request.path_params["id"]))
        if work is None:
            raise Refusal(404, "no video is worked on at this address")
        work.stop.set()
        return JSONResponse({"state": "stopping"})

    async def _send_output_files(self, request: Request) -> Response:
        id = request.path_params["id"]
        changes = read_params(PredictParams, request.query_params.multi_items(), {})
        outputs = parse_output_names(request.query_params.get("save", "all"))
        if outputs == (JSON,):
            raise Refusal(400, "save names files: the JSON comes with them")
        self._photograph_result(id)  # refuses a video's result, which has no such outputs
        with self.store.pinned(id) as result:
            prediction, written = await self.photographs.write_outputs(
                result,
                request_client(request),
                changes,
                outputs,
                lambda: client_departure(request),
            )
        return files_response(prediction, written, self.service.options.limits.download_seconds)

    async def _zip_of_results(self, request: Request) -> Response:
        ids = _result_ids_of_query(request)
        outputs = parse_output_names(request.query_params.get("save", "png16"))
        results = [self._photograph_result(id) for id in ids]
        for result in results:
            result.pins += 1
        return results_zip_response(
            self.photographs,
            self.store,
            results,
            client=request_client(request),
            outputs=outputs,
            seconds=self.service.options.limits.download_seconds,
        )

    def _photograph_result(self, id: str) -> StoredResult:
        """Find the result of a photograph; refuse that of a video."""
        result = self.store.find(id)
        if self.videos.find(result) is not None:
            raise Refusal(404, "this result is of a video, not of a photograph")
        return result

    def _pinned_file_response(
        self, result: StoredResult, path: Path, media_type: str | None, disposition: str = "inline"
    ) -> Response:
        """Send a file of a result, which is not deleted meanwhile."""
        result.pins += 1
        return _PinnedFileResponse(
            path,
            media_type=media_type,
            filename=path.name,
            content_disposition_type=disposition,
            release=lambda: self.store.release(result),
            seconds=self.service.options.limits.download_seconds,
        )


def _result_ids_of_query(request: Request) -> list[str]:
    ids = [id for id in request.query_params.get("ids", "").split(",") if id]
    if not ids:
        raise Refusal(400, "no result is named: 'ids' names them, with commas between")
    if len(ids) > _MAX_RESULTS_PER_REQUEST:
        raise Refusal(
            400, f"at most {_MAX_RESULTS_PER_REQUEST} results go together, got {len(ids)}"
        )
    return ids


def _query_without_page_parameters(request: Request) -> list[tuple[str, str]]:
    return [pair for pair in request.query_params.multi_items() if pair[0] not in _PAGE_PARAMETERS]


class _TimedStaticFiles(StaticFiles):
    """Files of the page, with the page's headers, which a client has to read in time."""

    def __init__(self, folder: Path, seconds: float | int) -> None:
        super().__init__(directory=folder)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send_or_stop_silently(self._seconds, super().__call__(scope, receive, send))

    def file_response(self, *values: Any, **more: Any) -> Response:
        response = super().file_response(*values, **more)
        response.headers.update(_PAGE_HEADERS)
        return response


class _TimedFileResponse(FileResponse):
    """Response with a file, which the client has to read in time."""

    chunk_size = 2**20  # a thread reads each chunk; smaller ones cost more than the reading

    def __init__(self, path: Path, *, seconds: float | int, **more: Any) -> None:
        super().__init__(path, **more)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send_or_stop_silently(self._seconds, super().__call__(scope, receive, send))


class _PinnedFileResponse(_TimedFileResponse):
    """Response with a file, after which ``release`` is called."""

    def __init__(self, path: Path, *, release: Callable[[], None], **more: Any) -> None:
        super().__init__(path, **more)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


async def _send_or_stop_silently(seconds: float | int, sending: Coroutine[Any, Any, None]) -> None:
    # The server closes the connection if the answer is not complete.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await sending
