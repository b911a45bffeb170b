"""Program that reads MATLAB files of version 5 with SciPy, in a process that may crash.

``mat_file.py`` runs this file. For each pickled (path, names of variables, limit in bytes) on
standard input, it writes the pickled variables by name to standard output, or the error as a text.
"""

import pickle
import sys


def answer_requests() -> None:
    """Answer requests until the input ends."""
    from scipy.io import loadmat

    while True:
        try:
            path, names, max_bytes = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            _limit_memory(max_bytes)
            response = loadmat(path, variable_names=names or None, appendmat=False)
        except Exception as error:
            response = f"{type(error).__name__}: {error}"
        pickle.dump(response, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _limit_memory(max_bytes: int) -> None:
    """Let this process take ``max_bytes`` more memory than it has now.

    Only Linux says how much a process has, so there is no limit elsewhere.
    """
    if sys.platform != "linux":
        return
    import os
    import resource

    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + max_bytes, resource.RLIM_INFINITY))


if __name__ == "__main__":
    answer_requests()
