"""Pictures and videos whose signal is not that of sRGB."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.errors import InputError
from rilievo.io.colour_signals import (
    ColourSignal,
    Transfer,
    hlg_scene_light,
    pq_light,
    pq_signal,
    tone_mapped,
)
from rilievo.io.videos import frame_colours
from rilievo.io.videos.live_frames import live_frames
from rilievo.io.videos.video import VideoReader
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.run import predict_files
from support.colour_clips import (
    BT_709,
    BT_2020,
    FULL,
    HLG,
    LIMITED,
    P3,
    PQ,
    ColourTags,
    write_signal,
)

HDR10 = ColourTags(primaries=BT_2020, transfer=PQ, matrix=9)
HLG_TAGS = ColourTags(primaries=BT_2020, transfer=HLG, matrix=9)
SDR = ColourTags(primaries=BT_709, transfer=1, matrix=1)
BT_709_IN_2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)
"""Linear BT.709 to BT.2020 (ITU-R BT.2087)."""


def srgb_light(codes: np.ndarray) -> np.ndarray:
    signal = codes / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def card() -> np.ndarray:
    """Patches of sRGB colours (64, 96), none of them clipped."""
    patches = np.random.default_rng(0).integers(20, 236, (4, 6, 3)).astype(np.uint8)
    return patches.repeat(16, axis=0).repeat(16, axis=1)


def first_frame(path: Path) -> np.ndarray:
    return next(iter(VideoReader(path))).photo.pixels


def grey(path: Path, signal: float, tags: ColourTags, *, matrix: int | None = None) -> int:
    pixels = first_frame(write_signal(path, np.full((48, 64, 3), signal), tags, matrix=matrix))
    assert np.ptp(pixels[8:-8, 8:-8].astype(int)) <= 1
    return int(pixels[24, 32, 0])


def test_transfers_are_those_of_bt_2100() -> None:
    light = [0, 0.1, 1, 10, 100, 203, 1000, 4000, 10000]
    signal = [0, 0.0623, 0.1499, 0.2997, 0.5081, 0.5807, 0.7518, 0.9026, 1]
    np.testing.assert_allclose(pq_signal(np.array(light)), signal, atol=1e-4)
    np.testing.assert_allclose(pq_light(pq_signal(np.array(light))), light, rtol=1e-6, atol=1e-9)
    scene = hlg_scene_light(np.array([0, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(scene, [0, 1 / 12, 0.26496, 1], atol=1e-5)


def test_the_tone_curve_leaves_dark_tones_and_takes_the_peak_to_white() -> None:
    dark = np.array([0.01, 1, 10, 50, 80])
    np.testing.assert_allclose(tone_mapped(dark, 1000), dark, rtol=1e-6)
    assert tone_mapped(np.array(1000.0), 1000) == pytest.approx(203)
    assert tone_mapped(np.array(4000.0), 1000) == pytest.approx(203)
    assert tone_mapped(np.array(203.0), 203) == pytest.approx(203)
    rising = tone_mapped(np.linspace(1, 4000, 2000), 4000)
    assert (np.diff(rising) > 0).all()


@pytest.mark.parametrize("levels", [LIMITED, FULL])
@pytest.mark.parametrize(
    ("signal", "transfer", "code"),
    [
        # 10 and 50 cd/m² of a white of 203: linear 0.0493 and 0.2463.
        (0.2997, PQ, 63),
        (0.44028, PQ, 136),
        # 203 cd/m², by hand through the spline of BT.2390: PQ 0.5553, 160 cd/m².
        (0.58069, PQ, 229),
        (0.75183, PQ, 255),
        (0.0, PQ, 0),
        # An HLG signal of a half is 1000 · (1/12)^1.2 = 50.7 cd/m².
        (0.5, HLG, 137),
        (1.0, HLG, 255),
    ],
)
def test_light_of_hdr_videos_becomes_srgb(
    tmp_path: Path, signal: float, transfer: int, code: int, levels: int
) -> None:
    tags = ColourTags(primaries=BT_2020, transfer=transfer, matrix=9, levels=levels)
    assert grey(tmp_path / "a.mkv", signal, tags) == pytest.approx(code, abs=1)


@pytest.mark.parametrize("tags", [HDR10, ColourTags(transfer=PQ)])
def test_colours_of_a_pq_video_are_those_of_the_picture(tmp_path: Path, tags: ColourTags) -> None:
    """Also if transfer alone is stated; dark, so that the tone curve changes nothing."""
    dark = card() // 2
    light = 203 * srgb_light(dark) @ BT_709_IN_2020.T
    found = first_frame(write_signal(tmp_path / "a.mkv", pq_signal(light), tags, matrix=9))
    assert np.abs(found.astype(int) - dark).max() <= 2


@pytest.mark.parametrize("matrix", [1, 9])
@pytest.mark.parametrize("transfer", [1, 14, 2])
def test_wide_colours_without_hdr_are_converted(tmp_path: Path, matrix: int, transfer: int) -> None:
    tags = ColourTags(primaries=BT_2020, transfer=transfer, matrix=matrix)
    light = srgb_light(card()) @ BT_709_IN_2020.T
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    found = first_frame(write_signal(tmp_path / "a.mkv", signal, tags))
    assert np.abs(found.astype(int) - card()).max() <= 2
    grey_in_2020 = grey(tmp_path / "b.mkv", 0.5, tags)
    assert grey_in_2020 == pytest.approx(127.5, abs=1)


def test_p3_is_more_saturated_than_its_numbers(tmp_path: Path) -> None:
    signal = np.full((48, 64, 3), [0.8, 0.4, 0.3])
    as_p3 = first_frame(
        write_signal(tmp_path / "a.mkv", signal, ColourTags(primaries=P3, transfer=1, matrix=1))
    )
    # By hand: linear (.6038, .1329, .0732) times the matrix of P3 to BT.709.
    np.testing.assert_allclose(as_p3[24, 32], [218, 97, 70], atol=2)


@pytest.mark.parametrize("levels", [LIMITED, FULL])
def test_ordinary_videos_are_as_they_were(tmp_path: Path, levels: int) -> None:
    tags = ColourTags(primaries=BT_709, transfer=1, matrix=1, levels=levels)
    found = first_frame(write_signal(tmp_path / "a.mkv", card() / 255, tags))
    assert np.abs(found.astype(int) - card()).max() <= 2
    assert VideoReader(tmp_path / "a.mkv").notes == ()


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        (ColourTags(primaries=9, transfer=9, matrix=9), "a logarithmic signal"),
        (ColourTags(primaries=9, transfer=10, matrix=9), "a logarithmic signal"),
        (ColourTags(primaries=10, transfer=17, matrix=9), "a CIE XYZ signal"),
        (ColourTags(primaries=9, transfer=PQ, matrix=10), "constant luminance"),
        (ColourTags(primaries=9, transfer=PQ, matrix=14), "ICtCp"),
    ],
)
def test_signals_that_cannot_be_converted_are_refused(
    tmp_path: Path, tags: ColourTags, name: str
) -> None:
    path = write_signal(tmp_path / "a.mkv", np.full((48, 64, 3), 0.5), tags, matrix=9)
    with pytest.raises(InputError, match=rf"a\.mkv: the video has .*{name}.*convert it to SDR"):
        VideoReader(path)
    with pytest.raises(InputError, match=name):
        next(live_frames(path))


@pytest.mark.parametrize(("tags", "name"), [(HDR10, "PQ"), (HLG_TAGS, "HLG")])
def test_a_conversion_is_said(tmp_path: Path, tags: ColourTags, name: str) -> None:
    path = write_signal(tmp_path / "a.mkv", np.full((48, 64, 3), 0.5), tags)
    [note] = VideoReader(path).notes
    assert note.startswith(f"its high dynamic range ({name}) was mapped to sRGB")
    options = PredictOptions(output=tmp_path / "out", save="png16")
    summary = predict_files([path], options, show=False)
    assert any(name in each for each in summary.notes)


def test_the_peak_that_a_signal_states_becomes_white() -> None:
    codes = np.full((1, 1, 3), round(65535 * float(pq_signal(np.array(203.0)))), np.uint16)
    whites = [
        int(ColourSignal(primaries=9, transfer=Transfer.PQ, peak=peak).to_srgb(codes)[0, 0, 0])
        for peak in (100, 203, 400, 1000, 4000)
    ]
    assert whites[:2] == [255, 255]
    assert whites == sorted(whites, reverse=True)
    assert whites[-1] > 200


def png_with(chunks: dict[bytes, bytes], codes: np.ndarray) -> bytes:
    """A PNG file of codes (h, w, 3) with further chunks behind its header."""
    stream = BytesIO()
    Image.fromarray(codes).save(stream, "PNG")
    content, extra = stream.getvalue(), b""
    for name, body in chunks.items():
        extra += struct.pack(">I", len(body)) + name + body
        extra += struct.pack(">I", zlib.crc32(name + body))
    return content[:33] + extra + content[33:]


def pq_codes() -> np.ndarray:
    light = 203 * srgb_light(card() // 2) @ BT_709_IN_2020.T
    return np.rint(255 * pq_signal(light)).astype(np.uint8)


@pytest.mark.parametrize("chunks", [{}, {b"cLLI": struct.pack(">II", 10_000_000, 1)}])
def test_a_png_that_says_pq_is_converted(chunks: dict[bytes, bytes]) -> None:
    content = png_with({b"cICP": bytes((9, 16, 0, 1)), **chunks}, pq_codes())
    photo = rilievo.read_photo(content)
    # 8 bits of PQ are coarse: one level is 3% of light.
    assert np.abs(photo.pixels.astype(int) - card() // 2).mean() < 2
    assert any("(PQ) was mapped to sRGB" in note for note in photo.notes)


@pytest.mark.parametrize(
    "chunks", [{}, {b"cICP": bytes((1, 13, 0, 1))}, {b"cICP": bytes((2, 2, 0, 1))}]
)
def test_a_png_of_srgb_is_as_it_was(chunks: dict[bytes, bytes]) -> None:
    photo = rilievo.read_photo(png_with(chunks, card()))
    np.testing.assert_array_equal(photo.pixels, card())
    assert photo.notes == ()


def test_a_png_whose_light_is_linear_is_converted() -> None:
    linear = np.rint(255 * srgb_light(card())).astype(np.uint8)
    found = rilievo.read_photo(png_with({b"cICP": bytes((1, 8, 0, 1))}, linear)).pixels
    assert np.abs(found.astype(int) - card())[card() > 100].max() <= 3


def test_a_png_of_a_logarithmic_signal_is_refused() -> None:
    with pytest.raises(InputError, match="a logarithmic signal, which is not supported"):
        rilievo.read_photo(png_with({b"cICP": bytes((9, 9, 0, 1))}, card()))


def test_a_png_of_limited_range_is_refused() -> None:
    with pytest.raises(InputError, match="limited-range colours"):
        rilievo.read_photo(png_with({b"cICP": bytes((1, 1, 0, 0))}, card()))


def test_a_profile_that_names_pq_is_not_read_by_its_curves() -> None:
    tag = b"cicp" + bytes(4) + bytes((9, 16, 0, 1))
    head = struct.pack(">I4sII", 1, b"cicp", 144, len(tag))
    profile = (b"\0" * 16 + b"RGB XYZ " + bytes(104) + head + tag).ljust(256, b"\0")
    image = Image.fromarray(pq_codes())
    stream = BytesIO()
    image.save(stream, "PNG", icc_profile=profile)
    found = rilievo.read_photo(stream.getvalue())
    assert np.abs(found.pixels.astype(int) - card() // 2).mean() < 2


@pytest.mark.parametrize(("primaries", "transfer"), [(9, 16), (9, 18), (12, 13), (1, 13)])
@pytest.mark.parametrize("form", ["avif", "heic"])
def test_avif_and_heic_are_read_by_their_code_points(
    form: str, primaries: int, transfer: int
) -> None:
    signal = ColourSignal(primaries=primaries, transfer=transfer)
    codes = np.full((64, 96, 3), (140, 120, 100), np.uint8)
    image, stream = Image.fromarray(codes), BytesIO()
    if form == "avif":
        image.save(stream, "AVIF", quality=100, subsampling="4:4:4")
        content = stream.getvalue().replace(
            b"nclx" + struct.pack(">HH", 1, 13), b"nclx" + struct.pack(">HH", primaries, transfer)
        )
    else:
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(image).save(
            stream,
            quality=-1,
            chroma=444,
            save_nclx_profile=True,
            color_primaries=primaries,
            transfer_characteristic=transfer,
            transfer_characteristics=transfer,
            matrix_coefficients=1,
        )
        content = stream.getvalue()
    assert b"nclx" + struct.pack(">HH", primaries, transfer) in content
    photo = rilievo.read_photo(content)
    expected = signal.to_srgb(codes.astype(np.uint16) * 257) if not signal.is_srgb else codes
    assert np.abs(photo.pixels.astype(int) - expected).mean() < 6
    assert bool(photo.notes and "dynamic range" in photo.notes[0]) == signal.is_hdr


@pytest.mark.parametrize(
    ("transfer", "matrix", "is_refused"),
    [(2, 2, True), (PQ, 2, True), (PQ, 9, False), (HLG, 9, False), (1, 1, False)],
)
def test_dolby_vision_is_read_by_its_base_layer_or_refused(
    monkeypatch: pytest.MonkeyPatch, transfer: int, matrix: int, *, is_refused: bool
) -> None:
    """Profile 5 has no base layer that tags describe; profiles 8.1, 8.2 and 8.4 have one."""
    frame = av.VideoFrame(64, 48, "yuv420p10le")
    frame.color_trc, frame.colorspace = transfer, matrix  # pyright: ignore
    monkeypatch.setattr(frame_colours, "_has_dolby_vision", lambda picture: True)
    if is_refused:
        with pytest.raises(InputError, match=r"Dolby Vision without a base layer"):
            frame_colours.check_signal(frame, "a.mp4")
    else:
        frame_colours.check_signal(frame, "a.mp4")
