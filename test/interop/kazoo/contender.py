"""A process that uses kazoo's recipes on demand: a line in is a command, a line out its answer.

The first word names who acts, the second what it does, as in the Java one (`peers/curator/Contender.java`).
"""
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout

client = KazooClient(hosts=sys.argv[1], timeout=10.0)
client.start(timeout=30)
held = {}
output = threading.Lock()


def say(text):
    with output:
        print(text, flush=True)


def lock(who, path, millis, patterns):
    mutex = client.Lock(path, who, extra_lock_patterns=patterns)
    try:
        mutex.acquire(timeout=int(millis) / 1000 or 0.001)
    except LockTimeout:
        return False
    held[who] = mutex
    return True


def elect(who, path):
    resigned = threading.Event()
    elected = threading.Event()

    def lead():
        elected.set()
        resigned.wait()

    election = client.Election(path, who)
    thread = threading.Thread(target=election.run, args=(lead,), daemon=True)
    thread.start()
    held[who] = (election, elected, resigned, thread)
    return True


def act(who, verb, words):
    if verb == "lock":
        return lock(who, words[0], words[1], words[2:])
    if verb == "release":
        held.pop(who).release()
        return True
    if verb == "elect":
        return elect(who, words[0])
    if verb == "leads":
        return held[who][1].wait(int(words[0]) / 1000)
    if verb == "contenders":
        return " ".join(held[who][0].contenders())
    if verb == "resign":
        election, _, resigned, thread = held.pop(who)
        resigned.set()
        election.cancel()
        thread.join()
        return True
    if verb == "put":
        client.Queue(words[0]).put(words[1].encode(), *map(int, words[2:]))
        return True
    if verb == "get":
        item = client.Queue(words[0]).get()
        return item and item.decode()
    if verb == "enter":
        barrier = client.DoubleBarrier(words[0], int(words[1]))
        barrier.enter()
        held[who] = barrier
        return True
    if verb == "leave":
        held.pop(who).leave()
        return True
    return "failed: no such command"


def answer(who, verb, words):
    try:
        text = str(act(who, verb, words)).lower()
    except Exception as error:
        text = "failed %r" % (error,)
    say("%s %s" % (who, text))


say("ready")
for line in sys.stdin:
    who, verb, *words = line.split()
    threading.Thread(target=answer, args=(who, verb, words), daemon=True).start()
