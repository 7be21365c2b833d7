"""A text field that fills the screen, and writes down what it receives."""

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk  # noqa: E402


def write(buffer):
    text = buffer.get_text(buffer.get_start_iter(), buffer.get_end_iter(), True)
    with open("received", "w", encoding="utf-8", newline="") as file:
        file.write(text)


def note(_, event):
    if event.type == Gdk.EventType.BUTTON_PRESS:
        line = f"button {event.button}"
    elif event.type == Gdk.EventType.SCROLL:
        line = f"wheel {4 + int(event.direction)}"
    else:
        return False
    with open("events", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    return event.type == Gdk.EventType.BUTTON_PRESS and event.button == 3


Gtk.Settings.get_default().set_property("gtk-cursor-blink", False)
window = Gtk.Window(title="Pad")
view = Gtk.TextView()
view.connect("button-press-event", note)
view.connect("scroll-event", note)
view.get_buffer().connect("changed", write)
window.add(view)
window.connect("destroy", Gtk.main_quit)
window.set_default_size(640, 440)
window.show_all()
window.maximize()
Gtk.main()
