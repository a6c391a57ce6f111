"""A Qt program with a text field, a menu and a drop-down list. Says on stdout what is done in it."""

from PyQt5.QtCore import QEvent, QPoint, QTimer
from PyQt5.QtWidgets import QApplication, QComboBox, QLineEdit, QMainWindow, QVBoxLayout, QWidget


def say(text):
    print(text, flush=True)


class Window(QMainWindow):
    """A window that says where the list is, once it has the focus."""

    def event(self, event):
        if event.type() == QEvent.WindowActivate:
            QTimer.singleShot(0, say_place)
        return super().event(event)


class Choice(QComboBox):
    """A drop-down list that says when it opens."""

    def showPopup(self):
        super().showPopup()
        QTimer.singleShot(0, lambda: say("list"))


app = QApplication([])
window = Window()
window.resize(300, 200)
menu = window.menuBar().addMenu("&File")
menu.addAction("&Open", lambda: say("opened"))
menu.addAction("&Save", lambda: say("saved"))
menu.aboutToShow.connect(lambda: QTimer.singleShot(0, lambda: say("menu")))
text, choice = QLineEdit(), Choice()
text.returnPressed.connect(lambda: (say("text " + text.text()), text.clear()))
choice.addItems(["one", "two", "three"])
choice.currentTextChanged.connect(lambda word: say("chose " + word))
inside = QWidget()
column = QVBoxLayout(inside)
column.addWidget(text)
column.addWidget(choice)
window.setCentralWidget(inside)


def say_place():
    middle = choice.mapToGlobal(QPoint(choice.width() // 2, choice.height() // 2))
    say(f"place list {middle.x()} {middle.y()}")


window.show()
text.setFocus()
app.exec()
