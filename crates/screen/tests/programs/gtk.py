"""A GTK program with a text field, a menu and a drop-down list. Says on stdout what is done in it."""

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import GLib, Gtk


def say(text):
    print(text, flush=True)


def say_place(name, widget):
    _, x, y = widget.get_window().get_origin()
    area = widget.get_allocation()
    say(f"place {name} {x + area.x + area.width // 2} {y + area.y + area.height // 2}")


def menu_item(label, word):
    item = Gtk.MenuItem.new_with_mnemonic(label)
    item.connect("activate", lambda _: say(word))
    return item


window = Gtk.Window(title="Books")
window.set_default_size(300, 200)
column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
bar, menu = Gtk.MenuBar(), Gtk.Menu()
file = Gtk.MenuItem.new_with_mnemonic("_File")
file.set_submenu(menu)
bar.append(file)
menu.append(menu_item("_Open", "opened"))
menu.append(menu_item("_Save", "saved"))
menu.connect("map", lambda *_: GLib.idle_add(say, "menu"))
text = Gtk.Entry()
text.connect("activate", lambda _: say("text " + text.get_text()))
text.connect("activate", lambda _: text.set_text(""))
choice = Gtk.ComboBoxText()
for word in ["one", "two", "three"]:
    choice.append_text(word)
choice.set_active(0)
choice.connect("changed", lambda _: say("chose " + choice.get_active_text()))
choice.connect("notify::popup-shown", lambda *_: GLib.idle_add(say, "list"))
column.add(bar)
column.add(text)
column.add(choice)
window.add(column)
window.connect("focus-in-event", lambda *_: GLib.timeout_add(100, say_place, "list", choice) and None)
window.show_all()
text.grab_focus()
Gtk.main()
