"""HTTP routes of an answer's pictures and files, which are made on request."""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.io.colour import check_colour_map
from rilievo.io.output_table import OUTPUTS
from rilievo.io.writing import SaveOptions
from rilievo.types import Prediction
from rilievo.views.app.answers import AnswerStore
from rilievo.views.app.files import write_file, write_zip
from rilievo.views.app.pictures import (
    Picture,
    confidence_of,
    depth_limits,
    depth_picture,
    jpeg,
    normals_of,
    photo_picture,
)
from rilievo.views.app.surface_page import surface_page

_KEPT = {"Cache-Control": "private, max-age=600"}


def answer_routes(store: AnswerStore, pool: Executor) -> list[Route]:
    """Make the routes of the pictures and files of answers.

    Args:
        store: Store of the answers.
        pool: Pool whose threads make the files.
    """

    def served(make: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def serve(request: Request) -> Response:
            try:
                return make(request)
            except RilievoError as error:
                return PlainTextResponse(str(error), 404)

        return serve

    def route(path: str, make: Callable[[Request], Response]) -> Route:
        serve = served(make)

        async def endpoint(request: Request) -> Response:
            return await asyncio.get_running_loop().run_in_executor(pool, serve, request)

        return Route("/answers/{token}/" + path, endpoint, methods=["GET"])

    return [
        route("{name}.jpg", lambda request: _picture(store, request)),
        route("surface.html", lambda request: _surface(store, request)),
        route("files/{output}", lambda request: _file(store, request)),
        route("all.zip", lambda request: _zip(store, request)),
        route("clip/{name}", lambda request: _clip(store, request)),
    ]


def _picture(store: AnswerStore, request: Request) -> Response:
    prediction = store.prediction(store.answer(request.path_params["token"]))
    picture = _drawn(prediction, request)
    return Response(jpeg(picture), media_type="image/jpeg", headers=_KEPT)


def _surface(store: AnswerStore, request: Request) -> Response:
    prediction = store.prediction(store.answer(request.path_params["token"]))
    return HTMLResponse(surface_page(prediction), headers=_KEPT)


def _drawn(prediction: Prediction, request: Request) -> Picture:
    name = request.path_params["name"]
    if name == "photo":
        return photo_picture(prediction)
    if name == "depth" and prediction.depth_or_none is not None:
        options = _save_options(request)
        limits = depth_limits(prediction.depth, options.colour_limits)
        return depth_picture(prediction.depth, options.colour_map, limits)
    if name == "normals" and prediction.normals is not None:
        return normals_of(prediction)
    if name == "confidence" and prediction.confidence is not None:
        return confidence_of(prediction)
    raise InputError(f"this answer has no picture '{name}'")


def _file(store: AnswerStore, request: Request) -> Response:
    answer = store.answer(request.path_params["token"])
    output = request.path_params["output"]
    if output not in OUTPUTS:
        raise OptionError(f"no output '{output}'; there are {', '.join(OUTPUTS)}")
    stem = answer.question.name
    prediction = store.prediction(answer)
    path = write_file(prediction, answer.folder, stem, output, _save_options(request))
    return FileResponse(path, filename=path.name)


def _zip(store: AnswerStore, request: Request) -> Response:
    answer = store.answer(request.path_params["token"])
    prediction = store.prediction(answer)
    path = write_zip(prediction, answer.folder, answer.question.name, _save_options(request))
    return FileResponse(path, filename=path.name)


def _clip(store: AnswerStore, request: Request) -> Response:
    path = store.clip_file(request.path_params["token"], request.path_params["name"])
    inline = "inline" if path.suffix == ".mp4" else "attachment"
    return FileResponse(path, filename=path.name, content_disposition_type=inline)


def _save_options(request: Request) -> SaveOptions:
    query = request.query_params
    limits = None
    if "near" in query:
        try:
            near, far = float(query["near"]), float(query.get("far", "nan"))
        except ValueError:
            near = far = math.nan
        if not (math.isfinite(near) and math.isfinite(far)):
            raise OptionError("a colour range is two numbers, near and far")
        limits = (near, far)
    return SaveOptions(
        colour_map=check_colour_map(query.get("map", "viridis")),
        colour_limits=limits,
        overwrite=True,
    )
