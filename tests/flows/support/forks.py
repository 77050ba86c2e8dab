"""A module that starts a child and waits, for the test of the leash."""

import subprocess
import time

if __name__ == "__main__":
    subprocess.Popen(["sleep", "120"])
    time.sleep(120)
