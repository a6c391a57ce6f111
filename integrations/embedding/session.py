#!/usr/bin/env python3
"""A support session inside another program: shows the code, asks the customer, reports how it ended.

    session.py [COMMAND...]     the command is `etatuki session ecom` unless another is given
"""
import json
import subprocess
import sys
import time

command = sys.argv[1:] or ["etatuki", "session", "ecom"]
session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")


def answer(question, text):
    # A real window makes "no" the default, and removes the question at `ask-over`.
    print(text, "(k = kyllä)", flush=True)
    line = {"type": "answer", "id": question, "allow": sys.stdin.readline().strip() == "k"}
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
