"""Files that claim far more than they hold are what they are said to be."""

import gzip
from pathlib import Path
from random import Random

import numpy as np
import pytest

from lab.torture.forms import claims
from lab.torture.readers import all_readers


def drawn(mutator: claims.Mutator, good: bytes = b"good") -> list[bytes]:
    return [mutator(good, Random(seed)) for seed in range(40)]


@pytest.mark.parametrize(("channels", "side"), [(5, 40), (1, 16)])
def test_channels_are_those_of_a_picture_of_black_pixels(
    channels: int, side: int, tmp_path: Path
) -> None:
    OpenEXR = pytest.importorskip("OpenEXR", reason="the extra 'formats' is not installed")
    (tmp_path / "x.exr").write_bytes(claims._exr(channels, side))
    with OpenEXR.File(str(tmp_path / "x.exr"), True) as image:
        found = image.channels()
        assert len(found) == channels
        for channel in found.values():
            assert channel.pixels.shape == (side, side)
            assert not np.any(channel.pixels)


def test_channels_are_packed_a_thousandfold() -> None:
    files = drawn(claims.exr_channels)
    assert len({len(content) for content in files}) == len(claims._CHANNELS)
    assert max(map(len, files)) < 2_000_000


def test_lengths_are_written_as_protobuf_writes_them() -> None:
    onnx = pytest.importorskip("onnx")
    assert claims._varint(300) == b"\xac\x02"
    assert claims._varint(2**64 - 1) == b"\xff" * 9 + b"\x01"
    network = onnx.ModelProto(ir_version=8)
    assert network.SerializeToString() == claims._varint(1 << 3) + claims._varint(8)
    assert any(content.startswith(b"\x08\x08") for content in drawn(claims.onnx_length))
    assert any(content.startswith(b"good\x72") for content in drawn(claims.onnx_length))


def test_a_pickle_is_one_text_of_zeros() -> None:
    import pickle

    text = pickle.loads(gzip.decompress(claims._packed_pickle(2**24)))
    assert text == bytes(2**24)
    assert max(map(len, drawn(claims.long_pickle))) < 2_000_000


def test_a_pickle_of_a_gigabyte_is_broken_in_little_memory() -> None:
    import tracemalloc

    from lab.torture.forms import pickles

    long = claims._packed_pickle(2**28)
    tracemalloc.start()
    broken = pickles.inside(long, Random(0))
    assert tracemalloc.get_traced_memory()[1] < 2**27
    tracemalloc.stop()
    assert gzip.decompress(broken) != gzip.decompress(long)[: pickles._MOST_BYTES]


def test_readers_try_them() -> None:
    forms = {form for reader in all_readers().values() for form in reader.victims.values()}
    assert {"exr", "onnx", "gzip-pickle"} <= forms
