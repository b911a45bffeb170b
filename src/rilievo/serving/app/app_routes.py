"""Routes of the page, its results, videos and files."""

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
from rilievo.serving.server.routes import Endpoint, client_departure, request_client, with_refusals
from rilievo.serving.server.service import Service
from rilievo.serving.server.uploads import Upload, safe_stem

MOST_AT_ONCE = 100

_PAGE_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_SWEEP_SECONDS = 20.0
_MOST_MARKS = 4000
_OWN = ("name", "again", "example")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """State that the routes share."""

    page: Path
    service: Service
    store: ResultStore
    photographs: PhotoResults
    videos: Videos
    embed_origins: tuple[str, ...] = ()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Delete old results now and then; at the end, stop videos."""
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
        """Routes of the page; the last one takes all others."""
        table: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]], str], ...] = (
            ("GET", "/", self._main_page, "The page."),
            (
                "GET",
                "/r/{ids}",
                self._main_page,
                "The page with results that are there, by ids with commas between.",
            ),
            ("GET", "/embed", self._embedded_page, "The page without uploads, inside another one."),
            ("GET", "/embed/{ids}", self._embedded_page, "The same with results, by ids."),
            (
                "POST",
                "/app/results",
                self._predict_upload_result_or_example,
                "Predict a photograph, or that of a result (again) or an example.",
            ),
            (
                "POST",
                "/app/groups",
                self._create_result_group,
                "Give results (ids) that are shown together an address of their own.",
            ),
            (
                "GET",
                "/app/results/{id}",
                self._result_or_group_facts,
                "Name, kind and progress of a result.",
            ),
            (
                "GET",
                "/app/results/{id}/view",
                self._view_file,
                "Depth and photograph for the page.",
            ),
            (
                "GET",
                "/app/results/{id}/thumbnail",
                self._thumbnail_file,
                "The photograph, small, as JPEG.",
            ),
            (
                "GET",
                "/app/results/{id}/photo",
                self._photograph_file,
                "The photograph as it was sent.",
            ),
            (
                "GET",
                "/app/results/{id}/files",
                self._send_output_files,
                "Files of a result, as /v1/predict gives them.",
            ),
            (
                "GET",
                "/app/results/{id}/made/{name}",
                self._video_output_file,
                "A file that was made of a video.",
            ),
            (
                "PUT",
                "/app/results/{id}/marks",
                self._store_marks,
                "Keep lines and view with a result, by the key of whoever made it.",
            ),
            ("POST", "/app/results/{id}/stop", self._stop_video, "Stop the work on a video."),
            ("POST", "/app/videos", self._begin_video, "Begin the work on a video."),
            ("GET", "/app/zip", self._zip_of_results, "Files of several results (ids) as a zip."),
        )
        routes: list[BaseRoute] = [
            Route(
                path,
                with_refusals(self.service, _endpoint_ignoring_service(endpoint)),
                methods=[method],
                name=words,
            )
            for method, path, endpoint, words in table
        ]
        return [
            *routes,
            Mount("/", _TimedStaticFiles(self.page, self.service.options.limits.download_seconds)),
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
        arguments, client = (
            read_params(PredictParams, _query_without_page_parameters(request), {}),
            request_client(request),
        )
        _ = arguments.options, arguments.saving, self.service.offered.server_name(arguments.model)
        again, example = (request.query_params.get(name) for name in ("again", "example"))
        if example is not None:
            entry = await self.photographs.example_result(
                example, client, arguments, lambda: client_departure(request)
            )
        else:
            if again is None:
                upload = await self._receive_named_upload(request, client)
            else:
                upload = self.photographs.photograph_upload(self._photograph_result(again))
            entry = await self.photographs.predict(
                upload, client, arguments, lambda: client_departure(request)
            )
        self.store.release(entry)
        facts = {"id": entry.id, "name": entry.name}
        # An example is shared by all visitors, so none of them changes its marks.
        return JSONResponse(facts if example is not None else {**facts, "key": entry.key})

    async def _store_marks(self, request: Request) -> Response:
        upload = await self.service.uploads.read(request, request_client(request))
        try:
            if upload.size > _MOST_MARKS:
                raise Refusal(413, f"marks have at most {_MOST_MARKS} bytes")
            content = upload.read()
        finally:
            upload.close()
        key, marks = request.query_params.get("key", ""), content.decode("ascii", "replace")
        self.store.replace_marks(request.path_params["id"], key, marks)
        return JSONResponse({"marks": marks})

    async def _begin_video(self, request: Request) -> Response:
        arguments, client = (
            read_params(VideoParams, _query_without_page_parameters(request), {}),
            request_client(request),
        )
        upload = await self._receive_named_upload(request, client)
        outputs = [name for name in arguments.save.split(",") if name]
        entry = await self.videos.store_and_queue(upload, client, arguments.model, outputs)
        return JSONResponse({"id": entry.id, "name": entry.name})

    async def _receive_named_upload(self, request: Request, client: str) -> Upload:
        self.service.slots(is_heavy=False).refuse_if_full()
        upload = await self.service.uploads.read(request, client)
        upload.name = safe_stem(request.query_params.get("name"))
        return upload

    async def _create_result_group(self, request: Request) -> Response:
        return JSONResponse({"id": self.store.create_group(_result_ids_of_query(request))})

    async def _result_or_group_facts(self, request: Request) -> Response:
        id = request.path_params["id"]
        members = self.store.group_members(id)
        if members is not None:
            return JSONResponse({"id": id, "kind": "group", "ids": [*members]})
        entry = self.store.find(id)
        work = self.videos.find(entry)
        if work is None:
            facts = {"id": entry.id, "name": entry.name, "kind": "photograph"}
            return JSONResponse({**facts, "marks": entry.marks})
        return JSONResponse(
            {"id": entry.id, "name": entry.name, "kind": "video", **work.progress_facts()}
        )

    async def _view_file(self, request: Request) -> Response:
        entry = self._photograph_result(request.path_params["id"])
        return self._pinned_file_response(entry, entry.path / VIEW, "application/octet-stream")

    async def _thumbnail_file(self, request: Request) -> Response:
        entry = self._photograph_result(request.path_params["id"])
        return self._pinned_file_response(entry, entry.path / THUMBNAIL, "image/jpeg")

    async def _photograph_file(self, request: Request) -> Response:
        entry = self._photograph_result(request.path_params["id"])
        kind = "application/octet-stream"
        return self._pinned_file_response(entry, entry.path / PHOTO, kind, "attachment")

    async def _video_output_file(self, request: Request) -> Response:
        entry, name = self.store.find(request.path_params["id"]), request.path_params["name"]
        work = self.videos.find(entry)
        if work is None or name not in work.files:
            raise Refusal(404, "this result has no such file")
        disposition = "attachment" if "download" in request.query_params else "inline"
        return self._pinned_file_response(entry, entry.path / MADE / name, None, disposition)

    async def _stop_video(self, request: Request) -> Response:
        work = self.videos.find(self.store.find(request.path_params["id"]))
        if work is None:
            raise Refusal(404, "no video is worked on at this address")
        work.stop.set()
        return JSONResponse({"state": "stopping"})

    async def _send_output_files(self, request: Request) -> Response:
        query, id = request.query_params.multi_items(), request.path_params["id"]
        arguments = read_params(PredictParams, query, {})
        outputs = parse_output_names(request.query_params.get("save", "all"))
        if outputs == (JSON,):
            raise Refusal(400, "save names files: the JSON comes with them")
        self._photograph_result(id)
        with self.store.pinned(id) as entry:
            result, written = await self.photographs.write_outputs(
                entry,
                request_client(request),
                arguments,
                outputs,
                lambda: client_departure(request),
            )
        return files_response(result, written, self.service.options.limits.download_seconds)

    async def _zip_of_results(self, request: Request) -> Response:
        ids = _result_ids_of_query(request)
        outputs = parse_output_names(request.query_params.get("save", "png16"))
        entries = [self._photograph_result(id) for id in ids]
        for entry in entries:
            entry.pins += 1
        return results_zip_response(
            self.photographs,
            self.store,
            entries,
            client=request_client(request),
            outputs=outputs,
            seconds=self.service.options.limits.download_seconds,
        )

    def _photograph_result(self, id: str) -> StoredResult:
        """Result of a photograph; refuses a video's."""
        entry = self.store.find(id)
        if self.videos.find(entry) is not None:
            raise Refusal(404, "this result is of a video, not of a photograph")
        return entry

    def _pinned_file_response(
        self, entry: StoredResult, path: Path, kind: str | None, disposition: str = "inline"
    ) -> Response:
        entry.pins += 1
        return _PinnedFileResponse(
            path,
            media_type=kind,
            filename=path.name,
            content_disposition_type=disposition,
            release=lambda: self.store.release(entry),
            seconds=self.service.options.limits.download_seconds,
        )


def _result_ids_of_query(request: Request) -> list[str]:
    ids = [id for id in request.query_params.get("ids", "").split(",") if id]
    if not ids:
        raise Refusal(400, "no result is named: 'ids' names them, with commas between")
    if len(ids) > MOST_AT_ONCE:
        raise Refusal(400, f"at most {MOST_AT_ONCE} results go together, got {len(ids)}")
    return ids


def _query_without_page_parameters(request: Request) -> list[tuple[str, str]]:
    return [pair for pair in request.query_params.multi_items() if pair[0] not in _OWN]


def _endpoint_ignoring_service(handler: Callable[[Request], Awaitable[Response]]) -> Endpoint:
    return lambda service, request: handler(request)


class _TimedStaticFiles(StaticFiles):
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
    chunk_size = 2**20  # each chunk is read by a thread, which costs as much as the reading

    def __init__(self, path: Path, *, seconds: float | int, **more: Any) -> None:
        super().__init__(path, **more)
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _send_or_stop_silently(self._seconds, super().__call__(scope, receive, send))


class _PinnedFileResponse(_TimedFileResponse):
    def __init__(self, path: Path, *, release: Callable[[], None], **more: Any) -> None:
        super().__init__(path, **more)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


async def _send_or_stop_silently(seconds: float | int, sending: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await sending
