"""A line between two network namespaces: `line.py HOST_PID ROUTER_PID TUN`. Makes two tun devices here and moves them
to the namespaces of these processes, as `eth0` and `lan`. Each line of stdin, `DELAY_MS LOSS_PERCENT KBIT_PER_SECOND`,
is obeyed from then on, in both directions; 0 kbit/s is no limit. A queue of 100 ms or 32 KiB is kept, whichever is
more. It ends with stdin.
"""
import fcntl, heapq, os, random, select, struct, subprocess, sys, time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
QUEUE, QUEUE_BYTES = 0.1, 32 << 10


class Line:
    delay, loss, rate = 0.0, 0.0, 0.0


class Direction:
    def __init__(self, source, target):
        self.source, self.target = source, target
        self.free, self.waiting, self.count = 0.0, [], 0

    def take(self, now):
        for _ in range(64):
            try:
                packet = os.read(self.source, 65536)
            except (BlockingIOError, OSError):
                return
            if random.random() < Line.loss:
                continue
            self.free = max(now, self.free)
            if Line.rate:
                if self.free - now > max(QUEUE, QUEUE_BYTES * 8 / Line.rate):
                    continue  # the queue is full
                self.free += len(packet) * 8 / Line.rate
            self.count += 1
            heapq.heappush(self.waiting, (self.free + Line.delay, self.count, packet))

    def give(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            try:
                os.write(self.target, heapq.heappop(self.waiting)[2])
            except OSError:
                pass  # the device is down

    def due(self):
        return self.waiting[0][0] if self.waiting else float("inf")


def device(name, pid, new_name):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "netns", pid, "name", new_name], check=True)
    return tun


def main():
    host, router, name = sys.argv[1:]
    ends = [device(name + "0", host, "eth0"), device(name + "1", router, "lan")]
    ways = [Direction(ends[0], ends[1]), Direction(ends[1], ends[0])]
    print("ready", flush=True)
    settings = b""
    while True:
        wait = min(way.due() for way in ways) - time.monotonic()
        ready, _, _ = select.select([0, *ends], [], [], min(max(wait, 0), 60))
        if 0 in ready:
            read = os.read(0, 4096)
            if not read:
                return
            *lines, settings = (settings + read).split(b"\n")
            for line in lines:
                delay, loss, rate = map(float, line.split())
                Line.delay, Line.loss, Line.rate = delay / 1000, loss / 100, rate * 1000
        now = time.monotonic()
        for way in ways:
            if way.source in ready:
                way.take(now)
            way.give(now)


main()
