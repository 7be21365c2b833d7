"""A small desktop of our own: a file manager over one folder and an editor, with GTK 3: ``desk.py FOLDER``.

Keys of the file manager: ctrl+f find a file by its name, Enter open it, ctrl+n a new one, F2 rename, Delete delete,
ctrl+a and ctrl+c copy the names of the selected files, ctrl+t a terminal. Keys of the editor: ctrl+s save, ctrl+w close.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk, Gtk  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".").absolute()


def key_of(event: Gdk.EventKey) -> str:
    """The key with ctrl, such as ``ctrl+s``, or its name."""
    name = Gdk.keyval_name(event.keyval) or ""
    return f"ctrl+{name.lower()}" if event.state & Gdk.ModifierType.CONTROL_MASK else name


def ask(parent: Gtk.Window, title: str, text: str = "") -> str:
    """Ask for a name; empty if there is none."""
    dialog = Gtk.Dialog(title=title, transient_for=parent, modal=True)
    dialog.add_buttons("Cancel", Gtk.ResponseType.CANCEL, "OK", Gtk.ResponseType.OK)
    dialog.set_default_response(Gtk.ResponseType.OK)
    entry = Gtk.Entry(text=text, activates_default=True, width_chars=40)
    dialog.get_content_area().add(entry)
    dialog.show_all()
    said = entry.get_text() if dialog.run() == Gtk.ResponseType.OK else ""
    dialog.destroy()
    return said.strip() if "/" not in said else ""


def confirm(parent: Gtk.Window, question: str) -> bool:
    """Ask whether to go on."""
    dialog = Gtk.MessageDialog(transient_for=parent, modal=True, text=question, buttons=Gtk.ButtonsType.OK_CANCEL)
    dialog.set_default_response(Gtk.ResponseType.OK)
    is_so = dialog.run() == Gtk.ResponseType.OK
    dialog.destroy()
    return is_so


class Editor(Gtk.Window):
    """A window with the text of one file."""

    def __init__(self, path: Path, saved: Callable[[], None]) -> None:
        super().__init__(title=f"{path.name} - Editor", default_width=560, default_height=420)
        self.path, self.saved = path, saved
        self.view = Gtk.TextView(monospace=True, wrap_mode=Gtk.WrapMode.WORD, left_margin=6, top_margin=6)
        self.text = self.view.get_buffer()
        self.text.set_text(path.read_text("utf-8", "replace") if path.exists() else "")
        self.text.place_cursor(self.text.get_start_iter())
        self.text.set_modified(False)
        self.text.connect("modified-changed", lambda _: self.entitle())
        scrolled = Gtk.ScrolledWindow()
        scrolled.add(self.view)
        self.add(scrolled)
        self.connect("key-press-event", self.pressed)
        self.show_all()

    def entitle(self) -> None:
        """Show whether there is something to save."""
        mark = "*" if self.text.get_modified() else ""
        self.set_title(f"{mark}{self.path.name} - Editor")

    def pressed(self, _: Gtk.Widget, event: Gdk.EventKey) -> bool:
        """Do what the key is for."""
        key = key_of(event)
        if key == "ctrl+s":
            self.path.write_text(self.text.get_text(*self.text.get_bounds(), True), "utf-8")
            self.text.set_modified(False)
            self.saved()
        elif key == "ctrl+w":
            self.destroy()
        return key in ("ctrl+s", "ctrl+w")


class Files(Gtk.Window):
    """A window with the files of the folder."""

    def __init__(self) -> None:
        super().__init__(title="Files", default_width=420, default_height=520)
        self.store = Gtk.ListStore(str, str)
        self.list = Gtk.TreeView(model=self.store, enable_search=False)
        for number, title in enumerate(("Name", "Bytes")):
            self.list.append_column(Gtk.TreeViewColumn(title, Gtk.CellRendererText(), text=number))
        self.list.get_selection().set_mode(Gtk.SelectionMode.MULTIPLE)
        self.list.connect("row-activated", lambda *_: self.open())
        self.find = Gtk.Entry(placeholder_text="Find a file by its name (ctrl+f)")
        self.find.connect("activate", self.found)
        bar = Gtk.Box(spacing=4)
        for label, act in (("New", self.new), ("Rename", self.rename), ("Delete", self.delete), ("Terminal", terminal)):
            button = Gtk.Button(label=label, can_focus=False)
            button.connect("clicked", lambda _, act=act: act())
            bar.pack_start(button, True, True, 0)
        scrolled = Gtk.ScrolledWindow()
        scrolled.add(self.list)
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=4)
        box.pack_start(bar, False, False, 0)
        box.pack_start(self.find, False, False, 0)
        box.pack_start(scrolled, True, True, 0)
        self.add(box)
        self.connect("destroy", Gtk.main_quit)
        self.connect("key-press-event", self.pressed)
        self.connect("focus-in-event", lambda *_: self.look())
        self.look()
        self.list.grab_focus()
        self.show_all()

    def look(self) -> None:
        """Show what is there now; what was selected stays so."""
        kept = set(self.chosen())
        self.store.clear()
        for path in sorted(FOLDER.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                row = self.store.append([path.name, str(path.stat().st_size)])
                if path.name in kept:
                    self.list.get_selection().select_iter(row)

    def chosen(self) -> list[str]:
        """The names that are selected."""
        store, rows = self.list.get_selection().get_selected_rows()
        return [store[row][0] for row in rows]

    def found(self, entry: Gtk.Entry) -> None:
        """Select the file of that name alone, and go to it."""
        name = entry.get_text().strip()
        entry.set_text("")
        self.look()
        self.list.get_selection().unselect_all()
        for row in self.store:
            if row[0] == name:
                self.list.set_cursor(row.path)
        self.list.grab_focus()

    def pressed(self, _: Gtk.Widget, event: Gdk.EventKey) -> bool:
        """Do what the key is for."""
        acts = {
            "ctrl+f": self.find.grab_focus,
            "ctrl+n": self.new,
            "ctrl+t": terminal,
            "F2": self.rename,
        }
        if not self.find.is_focus():
            acts |= {"Delete": self.delete, "ctrl+c": self.copy, "ctrl+a": self.list.get_selection().select_all}
        act = acts.get(key_of(event))
        if act is not None:
            act()
        return act is not None

    def copy(self) -> None:
        """Put the names that are selected into the clipboard."""
        Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD).set_text("\n".join(self.chosen()), -1)

    def open(self) -> None:
        """Open an editor for each file that is selected."""
        for name in self.chosen():
            Editor(FOLDER / name, self.look)

    def new(self) -> None:
        """Make a file, and open it."""
        name = ask(self, "New file")
        if name:
            (FOLDER / name).touch()
            self.look()
            Editor(FOLDER / name, self.look)

    def rename(self) -> None:
        """Give the first file that is selected another name."""
        for name in self.chosen()[:1]:
            to = ask(self, f"Rename {name}", name)
            if to and not (FOLDER / to).exists():
                (FOLDER / name).rename(FOLDER / to)
                self.look()

    def delete(self) -> None:
        """Remove the files that are selected."""
        names = self.chosen()
        if names and confirm(self, f"Delete {', '.join(names)}?"):
            for name in names:
                (FOLDER / name).unlink(missing_ok=True)
            self.look()


def terminal() -> None:
    """Open one."""
    subprocess.Popen(["xterm"], cwd=FOLDER)


if __name__ == "__main__":
    Gtk.Settings.get_default().set_property("gtk-cursor-blink", False)  # a screen at rest is seen to be
    Gtk.Settings.get_default().set_property("gtk-enable-animations", False)
    Files()
    Gtk.main()
