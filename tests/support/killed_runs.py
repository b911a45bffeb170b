"""A process that imports once, and starts and kills runs of training as often as it is asked.

Run as ``python killed_runs.py WALLS UNDISTURBED KILLED SEED``: trains into the second folder
undisturbed, then into the third with ten kills at moments drawn by the seed, and says how many of
the kills met a run that was under way.
"""

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

KILLS = 10


def main(walls: Path, undisturbed: Path, killed: Path, seed: int) -> None:
    import torch

    from rilievo.training.video.video_config import VideoRunOptions
    from rilievo.training.video.video_run import train_video
    from support.video_runs import small_config

    # What has not computed yet may be forked: no thread of it is waited for.
    config = replace(small_config(walls), epochs=4, checkpoint_steps=2)

    def start(run: Path) -> int:
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            train_video(config, run, VideoRunOptions(device="cpu", resume=True))
            os._exit(0)
        return child

    began = time.monotonic()
    assert os.waitpid(start(undisturbed), 0)[1] == 0
    whole = time.monotonic() - began
    moments = random.Random(seed)
    under_way = 0
    for _ in range(KILLS):
        child = start(killed)
        time.sleep(moments.uniform(0.05, 0.4) * whole)
        ended, _ = os.waitpid(child, os.WNOHANG)
        if not ended:
            under_way += 1
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert os.waitpid(start(killed), 0)[1] == 0
    sys.stdout.write(f"{under_way}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
