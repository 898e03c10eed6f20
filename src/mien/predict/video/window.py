"""A live window on the screen, where there is a screen.

Through Tk, which comes with Python: headless OpenCV has no windows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tkinter

    from PIL import Image


class Window:
    """Shows pictures one after the other; `open` turns false when its user closes it or presses Escape."""

    def __init__(self, root: tkinter.Tk, label: tkinter.Label) -> None:
        self.open = True
        self._root, self._label = root, label
        root.protocol("WM_DELETE_WINDOW", self._shut)
        root.bind("<Escape>", lambda _: self._shut())

    def show(self, picture: Image.Image) -> None:
        """Put `picture` in the window."""
        from PIL import ImageTk

        self._picture = ImageTk.PhotoImage(picture, master=self._root)  # Tk shows it only as long as we keep it
        self._label.configure(image=self._picture)
        self._root.update()

    def close(self) -> None:
        """Take the window off the screen."""
        self._root.destroy()

    def _shut(self) -> None:
        self.open = False


def open_window(title: str) -> Window | None:
    """An empty window, or None where Python came without Tk or there is no display."""
    try:
        import tkinter
    except ImportError:
        return None
    try:
        root = tkinter.Tk(className="mien")
    except tkinter.TclError:
        return None
    root.title(title)
    label = tkinter.Label(root)
    label.pack()
    return Window(root, label)
