"""A man in the middle: runs an agent, and changes one of its replies.

middle.py CONTROL AGENT...: the file CONTROL says what to change, and is taken away, so that only the first conversation is
tampered with. It is JSON: {"log": FILE} writes all replies into a file, one a line, each as {"header": ..., "lines": [...]},
where the lines are those of a journal, which follows its header; {"reply": N, "at": [KEY...], "do":
"set"|"drop"|"repeat", "value": ...} changes a field of the reply of that number; {"reply": N, "raw": [OFFSET, HOW MANY, TEXT]}
puts a text in the place of some of the bytes that follow its header; {"reply": N, "harm": "kill"|"close"|"stop"|"fill"|"mute",
"when": "before"|"after"} kills or stops the agent, closes the connection, or fills the disk, before or after that reply was
passed on: one that is stopped writes the two processes to go on into "stopped", the disk is that of the file "filler". Of one
that is mute nothing but heartbeats is passed on.
"""

import json
import os
import signal
import struct
import subprocess
import sys


def read(source, count):
    data = b""
    while len(data) < count:
        more = source.read(count - len(data))
        if not more:
            sys.exit(child.wait())
        data += more
    return data


def changed(message, order):
    box = {None: message}
    path = [None] + order["at"]
    holder = box
    for key in path[:-1]:
        holder = holder[key]
    if order["do"] == "drop":
        del holder[path[-1]]
    elif order["do"] == "repeat":
        holder[path[-1]] = holder[path[-1]] * order["value"]
    else:
        holder[path[-1]] = order["value"]
    return box[None]


def harm(order, when):
    if order.get("harm") is None or order["when"] != when or number != order["reply"]:
        return
    if order["harm"] == "kill":
        child.kill()
        child.wait()
        os._exit(137)
    elif order["harm"] == "close":
        # The agent sees the end of its input, and writes to nobody.
        os.close(1)
        os.close(0)
        source.close()
        os._exit(0)
    elif order["harm"] == "mute":
        global mute
        mute = True
    elif order["harm"] == "fill":
        with open(order["filler"], "wb", buffering=0) as filler:
            for size in (65536, 1024, 1):
                try:
                    while True:
                        filler.write(bytes(size))
                        os.fsync(filler.fileno())
                except OSError:
                    pass
    else:
        with open(order["stopped"], "w") as stopped:
            stopped.write("%d %d" % (child.pid, os.getpid()))
        child.send_signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)


control, *agent = sys.argv[1:]
try:
    os.rename(control, control + ".taken")
except OSError:
    os.execv(agent[0], agent)
with open(control + ".taken") as file:
    order = json.load(file)
child = subprocess.Popen(agent, stdout=subprocess.PIPE)
source, to = child.stdout, sys.stdout.buffer
number = 0
mute = False
try:
    line = b""
    while not line.endswith(b"ready\n"):
        line = source.readline()
        if not line:
            sys.exit(child.wait())
        to.write(line)
        to.flush()
    while True:
        envelope = json.loads(read(source, struct.unpack(">I", read(source, 4))[0]))
        raw = read(source, envelope.get("raw", 0))
        header = envelope["message"]
        verb = header if isinstance(header, str) else next(iter(header))
        counts = verb not in ("heartbeat", "data", "output")
        lines = [json.loads(line) for line in raw.splitlines()] if verb == "journal" else []
        message = {"header": header, "lines": lines}
        if counts:
            if "log" in order:
                with open(order["log"], "a") as log:
                    log.write(json.dumps(message) + "\n")
            elif number == order["reply"] and "do" in order:
                message = changed(message, order)
                envelope["message"] = message["header"]
                if message["lines"] != lines:
                    raw = b"".join(json.dumps(line).encode() + b"\n" for line in message["lines"])
                    envelope["raw"] = len(raw)
            if "raw" in order and number == order["reply"]:
                start, length, text = order["raw"]
                raw = raw[:start] + text.encode("latin-1") + raw[start + length:]
                envelope["raw"] = len(raw)
            harm(order, "before")
        if mute and verb != "heartbeat":
            continue
        header = json.dumps(envelope).encode()
        to.write(struct.pack(">I", len(header)) + header + raw)
        to.flush()
        if counts:
            harm(order, "after")
            number += 1
except BrokenPipeError:
    pass
