"""``python -m lab.scenes``: render shards of frames, clips, or a sheet of them."""

import sys

from rilievo.errors import MissingExtraError, explain_missing_extra


def run() -> int:
    """Run the command; the exit code is 0, or 2 for a usage error."""
    try:
        with explain_missing_extra("rendering synthetic scenes", "train"):
            from lab.scenes.command import main
    except MissingExtraError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return main()


if __name__ == "__main__":
    sys.exit(run())
