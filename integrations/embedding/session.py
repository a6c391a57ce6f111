#!/usr/bin/env python3
"""A support session inside another program: shows the code, asks the customer, says how it ended.

    session.py [COMMAND...]     the command is `etatuki session ecom` unless another is given
"""
import json
import subprocess
import sys

command = sys.argv[1:] or ["etatuki", "session", "ecom"]
session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")


def say(**line):
    session.stdin.write(json.dumps(line) + "\n")
    session.stdin.flush()


for line in session.stdout:
    event = json.loads(line)
    if event["type"] == "code":
        for field in event["fields"]:  # none any more once somebody is connected
            print(f"{field['kind']}: {field['digits']}", flush=True)
    elif event["type"] == "ask":
        # A window would make 'no' the default, and take the question down at `ask-over`.
        print(event["text"], "(k = kyllä)", flush=True)
        say(type="answer", id=event["id"], allow=sys.stdin.readline().strip() == "k")
    elif "text" in event:  # notice, error, closed, failed: for the customer to read
        print(event["text"], flush=True)
sys.exit(session.wait())
