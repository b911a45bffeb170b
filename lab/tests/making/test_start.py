"""A wider network that goes on where a narrower one stopped."""

from pathlib import Path

import pytest
import torch

from lab.making.wider_start import start_from, take_over
from rilievo.errors import InputError
from rilievo.training.networks.small import SMALL, SmallNet, Widths
from support.light_networks import LIGHT

NARROW = Widths(blocks=13, decoder=(16, 12, 8, 8))
WIDE = Widths(blocks=13, decoder=(24, 20, 16, 8))


def settled(widths: Widths, seed: int) -> SmallNet:
    """A network whose normalisations have statistics of their own."""
    torch.manual_seed(seed)
    network = SmallNet(widths)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            statistics = module.state_dict()
            torch.nn.init.uniform_(statistics["running_mean"], -0.5, 0.5)
            torch.nn.init.uniform_(statistics["running_var"], 0.5, 2.0)
    return network.eval()


def test_the_wider_network_says_what_the_narrower_one_said() -> None:
    narrow, wide = settled(NARROW, 0), settled(WIDE, 1)
    image = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    assert not torch.allclose(wide(image).log_depth, narrow(image).log_depth)
    assert take_over(wide, narrow.state_dict()) == ()
    for mine, theirs in zip(wide(image), narrow(image), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_what_the_other_lacks_is_named_and_kept() -> None:
    narrow, wide = settled(NARROW, 0), settled(WIDE, 1)
    state = {
        name: value for name, value in narrow.state_dict().items() if not name.startswith("spread")
    }
    before = wide.state_dict()["spread.whole.0.weight"].clone()
    missing = take_over(wide, state)
    assert missing
    assert all(name.startswith("spread") for name in missing)
    torch.testing.assert_close(wide.state_dict()["spread.whole.0.weight"], before)


def test_wider_or_foreign_weights_are_refused_by_name() -> None:
    narrow, wide = settled(NARROW, 0), settled(WIDE, 1)
    with pytest.raises(InputError, match="does not fit"):
        take_over(narrow, wide.state_dict())
    with pytest.raises(InputError, match="'elsewhere' is not in this network"):
        take_over(narrow, {"elsewhere": torch.zeros(1)})


def test_a_run_of_a_shorter_network_is_not_taken_for_a_narrower_one(tmp_path: Path) -> None:
    torch.save({"average": SmallNet(LIGHT).state_dict()}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match=r"another network.*'merges.2.mix.0.0.weight'"):
        start_from(SmallNet(SMALL), tmp_path)
