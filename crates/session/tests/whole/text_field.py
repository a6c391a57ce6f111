"""A window with a text field, in GTK or Qt: prints what arrives, as one JSON value a line.

The window's id first, then "focused"; the text at each Return, which empties the field; and each
button or turn of the wheel below the field.
"""
import json
import sys


def tell(value):
    print(json.dumps(value), flush=True)


def gtk():
    import gi
    gi.require_version("Gtk", "3.0")
    gi.require_version("Gdk", "3.0")
    gi.require_version("GdkX11", "3.0")
    from gi.repository import Gdk, GdkX11, Gtk

    field, below = Gtk.Entry(), Gtk.DrawingArea()

    def finish(_):
        tell(field.get_text())
        field.set_text("")

    def scrolled(_, event):
        _, direction = event.get_scroll_direction()
        tell("wheel " + direction.value_nick)

    field.connect("activate", finish)
    field.connect("focus-in-event", lambda *_: tell("focused"))
    below.set_size_request(400, 100)
    below.add_events(Gdk.EventMask.BUTTON_PRESS_MASK | Gdk.EventMask.SCROLL_MASK)
    below.connect("button-press-event", lambda _, event: tell("button %d" % event.button))
    below.connect("scroll-event", scrolled)
    box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
    box.add(field)
    box.add(below)
    window = Gtk.Window()
    window.add(box)
    window.show_all()
    tell(window.get_window().get_xid())
    Gtk.main()


def qt():
    from PyQt5.QtWidgets import QApplication, QLineEdit

    class Field(QLineEdit):
        def focusInEvent(self, event):
            super().focusInEvent(event)
            tell("focused")

    app = QApplication(sys.argv[:1])
    field = Field()

    def finish():
        tell(field.text())
        field.clear()

    field.returnPressed.connect(finish)
    field.resize(400, 40)
    field.show()
    tell(int(field.winId()))
    app.exec_()


{"gtk": gtk, "qt": qt}[sys.argv[1]]()
