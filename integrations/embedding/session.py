#!/usr/bin/env python3
"""A support session inside another program: shows the code, asks the customer, reports how it ended.

    session.py [COMMAND...]     the command is `etatuki session ecom` unless another is given
"""
import json
import os
import select
import subprocess
import sys
import termios
import time

command = sys.argv[1:] or ["etatuki", "session", "ecom"]
session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")


def forget_typed():
    """Drops what was typed before a question: it is no answer to it."""
    if os.isatty(0):
        termios.tcflush(0, termios.TCIFLUSH)
    while select.select([0], [], [], 0)[0] and os.read(0, 4096):
        pass


def read_line():
    """Reads one line byte by byte, so that nothing typed later is kept for the next question."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line.strip()


def answer(question, text):
    # A real window makes "no" the default, and removes the question at `ask-over`.
    forget_typed()
    print(text, "(k = kyllä)", flush=True)
    line = {"type": "answer", "id": question, "allow": read_line() == b"k"}
    session.stdin.write(json.dumps(line) + "\n")
    session.stdin.flush()


for line in session.stdout:
    event = json.loads(line)
    if event["type"] == "code":
        for field in event["fields"]:  # empty once an agent is connected
            print(f"{field['kind']}: {field['digits']}", flush=True)
    elif event["type"] == "ask":
        answer(question := event["id"], event["text"])
    elif event.get("name") == "too-early":  # no answer is accepted in its first second; it stays open
        time.sleep(1)
        answer(question, "Vastasit liian pian. Lue kysymys ja vastaa uudelleen")
    elif "text" in event:  # notice, error, closed, failed
        print(event["text"], flush=True)
sys.exit(session.wait())
