"""The window in a host, on the display it is run on (`xvfb-run` makes one): usage: editor_check.py PLUGIN.vst3 OUT.png

Opens it, takes a picture, closes it, and opens it again. Exit status 0 only when the window drew something both times.
"""

import ctypes
import os
import subprocess
import sys
import threading
import time

os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
# JUCE asks for a property of window 0 where no window manager runs, and Xlib's own answer to that is to exit.
handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda display, event: 0)
ctypes.CDLL("libX11.so.6").XSetErrorHandler(handler)

import pedalboard  # noqa: E402  (after the handler)

PLUGIN, PICTURE = sys.argv[1:3]
LEAST_COLOURS = 50
colours = []
plugin = pedalboard.load_plugin(PLUGIN)


def look(close):
    time.sleep(4)
    subprocess.run(["import", "-silent", "-window", "root", PICTURE], check=True)
    told = subprocess.run(["identify", "-format", "%k", PICTURE], check=True, capture_output=True, text=True)
    colours.append(int(told.stdout))
    close.set()


for _ in range(2):
    close = threading.Event()
    threading.Thread(target=look, args=(close,), daemon=True).start()
    plugin.show_editor(close)
print(f"colours: {colours}")
sys.stdout.flush()
# The host's own teardown without a window manager is not what is checked.
os._exit(0 if len(colours) == 2 and min(colours) >= LEAST_COLOURS else 1)
