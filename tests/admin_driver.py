"""Run `python -m risk.admin`, and kill it before one of its changes in a folder.

admin_driver.py FOLDER POINT ARGUMENTS...
"""

import sys
from pathlib import Path

from risk.admin import __main__ as admin
from tests.crash_driver import arm

if __name__ == "__main__":
    folder, point, *arguments = sys.argv[1:]
    arm(Path(folder), int(point))
    sys.argv = ["risk.admin", *arguments]
    admin.main()
