"""One budget of time from the first byte of a request, and one line of slots for all work."""

import os
import signal
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest

from rilievo.measure.region_measurements import RegionMeasurement
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.measure.regions import RegionLike
from rilievo.serving.server import endpoints
from rilievo.serving.server import service as services
from rilievo.serving.server.decoding.messages import can_fork_and_pass_files
from rilievo.serving.server.uploads import Upload
from support.served import check_refused, picture, served

pytestmark = pytest.mark.skipif(
    not can_fork_and_pass_files(), reason="threads decode on this system"
)


def test_the_time_limit_counts_from_the_first_byte(tmp_path: Path) -> None:
    with served(tmp_path, time_limit=60.0) as server:
        fresh, late = Upload(BytesIO(picture())), Upload(BytesIO(picture()))
        assert (
            server.client.portal.call(server.service.create_job, fresh, "a").deadline
            > time.monotonic()
        )
        late.created_at -= 60.0
        with pytest.raises(Exception, match="no result after 60 s"):
            server.client.portal.call(server.service.create_job, late, "a")
        fresh.close()
        assert server.disk.reserved_bytes == 0


def test_the_reading_of_a_header_ends_with_the_time_limit(tmp_path: Path) -> None:
    with served(tmp_path, time_limit=0.5) as server:
        pool = server.service.decoders
        pool.start_idle_processes()
        stuck = pool.idle_pids
        for number in stuck:
            os.kill(number, signal.SIGSTOP)
        answer = server.client.post("/v1/predict", content=picture())
        check_refused(answer, 503, "no result after 0.5 s")
        assert answer.headers["retry-after"]
        for _ in stuck[1:]:
            server.client.post("/v1/predict", content=picture())
        assert server.client.post("/v1/predict", content=picture()).status_code == 200


def test_one_client_never_has_the_last_process_that_reads_headers(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        slots = server.service._decoding
        for _ in range(slots._count - 1):
            server.client.portal.call(slots.acquire, "one")
        assert not slots._has_slot_for("one")
        assert slots._has_slot_for("another")


def test_frames_take_their_turn_among_requests(tmp_path: Path) -> None:
    with served(tmp_path) as server, server.stream() as socket:
        slots = server.service.light
        taken = [server.client.portal.call(slots.acquire, each) for each in "abcdefghij"]
        assert not slots._has_slot_for("testclient")
        socket.send_bytes(picture())
        end = time.monotonic() + 60
        while not slots.waiting:
            assert time.monotonic() < end, "the frame does not wait"
            time.sleep(0.01)
        for slot in taken:
            server.client.portal.call(slot.release)
        assert "error" not in socket.receive_json()


@pytest.mark.parametrize(("limit", "lane"), [(10**9, "light"), (100, "heavy")])
def test_a_frame_of_many_pixels_is_heavy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, lane: str
) -> None:
    monkeypatch.setattr(services, "_HEAVY_PIXELS", limit)
    with served(tmp_path) as server, server.stream() as socket:
        slots = getattr(server.service, lane)
        before = slots._mean_seconds
        socket.send_bytes(picture())
        assert "error" not in socket.receive_json()
        socket.receive_bytes()
        assert before == 0
        assert slots._mean_seconds > 0, "this lane has worked"


def test_an_upload_says_when_it_began() -> None:
    before = time.monotonic()
    assert before <= Upload(BytesIO(b"x")).created_at <= time.monotonic()


def test_measuring_ends_with_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each box takes .3 s, and the third one much longer than the second that there is."""
    measured, may_end = [], threading.Event()

    class SlowMeasurer(RegionMeasurer):
        def measure(self, place: RegionLike) -> RegionMeasurement:
            measured.append(place)
            may_end.wait(60 if len(measured) == 3 else 0.3)
            return super().measure(place)

    monkeypatch.setattr(endpoints, "RegionMeasurer", SlowMeasurer)
    boxes = "&".join(["box=10,10,60,50"] * 40)
    with served(tmp_path, time_limit=1.0) as server:
        answer = server.client.post(
            f"/v1/measure?known=40,30,2.5&fov=60&{boxes}", content=picture()
        )
        check_refused(answer, 503, "no result after 1 s")
        assert server.service.light.working == 1, "the box at work keeps its place"
        may_end.set()
        server.client.portal.call(server.service.jobs.wait_for_all)
        assert server.service.light.working == 0
        assert 1 <= len(measured) <= 5
