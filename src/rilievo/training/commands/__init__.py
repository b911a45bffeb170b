"""Commands of this subpackage, one file each."""

import os
from tempfile import gettempdir

# torch, which is imported later, makes the folder of networks that it compiles even though rilievo
# compiles none. This one is there already.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", gettempdir())
