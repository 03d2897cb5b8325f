#!/usr/bin/env python3
"""Holds our tracker beside ByteTrack (of Roboflow's trackers) on the same detections.

The program plays each clip whole, every frame, and publishes what it detects and what it tracks. The same detections go into ByteTrack,
one tracker a label, for it knows none. One code counts for both, over chains of detections that say which are one thing:

ids        identities that were given, at all
chains     things there are, by the chains
switches   a chain's detection has another identity than the last one that the chain had
fragments  a chain has an identity, then none, then one again
followed   share of the chains' detections that have an identity: who follows less also switches less

Nobody wrote down who is who in these clips. In the one of six people who come one after the other, times read off the pictures say whose
a detection is: that is truth, as far as each frame's best detection is of the person. In the others chains are made offline, from the
detections of high score, in two ways. "By overlap": the best pairing of each two frames, and gaps of up to a second bridged where what
was before, prolonged, meets what came after, prolonged backwards, all at once and best in sum. "By speed": the same bridging also from
frame to frame, wherever overlap leaves more than one choice. Both look both ways in time, as no tracker can; but they are third
opinions and not truth. They see no pictures; where people cross or stay hidden they are often wrong, or end one chain and begin
another, and then a tracker that is right counts a switch, or one that is wrong none. All trackers are judged by the same chains. What
holds by one way and not by the other says nothing."""

import argparse
import asyncio
import dataclasses
import datetime
import importlib.metadata
import json
import pathlib
import socket
import statistics
import subprocess
import tempfile

import nats
import numpy
import supervision
from scipy.optimize import linear_sum_assignment
from trackers import ByteTrackTracker

CAMERA = "clip"
LOWEST = 0.1  # score, from which on both trackers use a detection
# Of the chains made offline.
OVERLAP = 0.3  # IoU of two detections that are one thing, one frame later
BRIDGED = 0.3  # the mean of both directions' IoU over a gap
GAP = 1.0  # seconds
MEMORY = 0.5  # seconds from which a speed is taken
SHORTEST = 5  # detections; fewer may be noise

# When the six people come and when they are over the line at the right, seconds; cmd/sightline/zones_test.go has the same.
COME = (6.3, 22.8, 50.3, 74.7, 92.3, 123.8)
GONE = (18.9, 44.0, 69.0, 85.9, 118.9, 134.9)


@dataclasses.dataclass
class Seen:
    """A frame: what was detected, and our identities, by place in boxes; 0 is none."""

    time: float  # seconds since the first frame
    boxes: numpy.ndarray
    scores: numpy.ndarray
    ids: list


# --- What the program does with a clip.


async def play(o, clip, labels, folder):
    """seq -> detections, seq -> tracks. The broker is a process of its own, so that we listen before the first frame."""
    address = f"127.0.0.1:{free_port()}"
    hub = {"bus": {"listen": address, "data_dir": str(folder / "bus")}, "http": {"listen": "127.0.0.1:0"}}
    site = {"bus": {"url": f"nats://{address}"}, "objects": {"track": labels}, "tiles": {"policy": "off"},
            "detectors": {"default": {"model": str(o.model.resolve()), "min_score": LOWEST}},
            "cameras": {CAMERA: {"source": str(clip.resolve()), "pace": "fast"}}}
    broker = await asyncio.create_subprocess_exec(*command(o, folder, "hub", hub, "sinks"), stderr=subprocess.DEVNULL)
    try:
        heard = await listen(address)
        player = await asyncio.create_subprocess_exec(*command(o, folder, "site", site, "ingest,detect,track"), stderr=subprocess.PIPE)
        said = (await player.communicate())[1]
        if player.returncode != 0:
            raise SystemExit(f"{clip.name}: sightline failed:\n{said.decode()}")
        return await heard()
    finally:
        broker.terminate()
        await broker.wait()


def command(o, folder, name, config, roles):
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return str(o.sightline), "run", "-c", str(path), "--roles", roles


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def listen(address):
    """What it gives takes all that came, and closes."""
    client = await connected(address)
    kept = {"detections": {}, "tracks": {}}

    async def take(message):
        document = json.loads(message.data)
        kept[message.subject.split(".")[1]][document["seq"]] = document

    for kind in kept:
        await client.subscribe(f"sightline.{kind}.{CAMERA}", cb=take, pending_msgs_limit=0, pending_bytes_limit=0)
    await client.flush()

    async def heard():
        await client.flush()
        await client.drain()
        return kept["detections"], kept["tracks"]

    return heard


async def connected(address, patience=20):
    async def quiet(_):
        """The client would log each attempt with its stack."""

    for _ in range(10 * patience):
        try:
            return await nats.connect(f"nats://{address}", allow_reconnect=False, error_cb=quiet)
        except (OSError, nats.errors.Error):
            await asyncio.sleep(0.1)
    raise SystemExit(f"no broker after {patience} s")


def whole(name, detections, tracks):
    """The frames' numbers. Refuses a clip of which anything was lost: then the trackers would not have seen the same."""
    expected = set(range(min(detections, default=1), max(detections, default=0) + 1))
    if not detections or set(detections) != expected or set(tracks) != expected:
        raise SystemExit(f"{name}: {len(detections)} frames with detections and {len(tracks)} with tracks; expected {len(expected)}")
    return sorted(expected)


def frames(name, detections, tracks, label):
    """The frames of a clip with what they have of one label. A track's box is that of its detection, to the last digit."""
    seqs, seen = whole(name, detections, tracks), []
    begin = moment(detections[seqs[0]])
    for seq in seqs:
        ids = {tuple(t["box"]): t["track_id"] for t in tracks[seq]["objects"] if t["label"] == label}
        objects = [d for d in detections[seq]["objects"] if d["label"] == label]
        boxes = [tuple(d["box"]) for d in objects]
        if not set(ids) <= set(boxes):
            raise SystemExit(f"{name}, frame {seq}: tracks without a detection")
        seen.append(Seen((moment(detections[seq]) - begin).total_seconds(), numpy.array(boxes, float).reshape(-1, 4),
                         numpy.array([d["score"] for d in objects], float), [ids.get(box, 0) for box in boxes]))
    return seen


def moment(document):
    whole_seconds, _, rest = document["captured_at"].rstrip("Z").partition(".")
    micros = int((rest + "000000")[:6])  # Go writes nanoseconds
    return datetime.datetime.fromisoformat(whole_seconds) + datetime.timedelta(microseconds=micros)


def rate_of(seen):
    return 1 / statistics.median(b.time - a.time for a, b in zip(seen, seen[1:]))


# --- What ByteTrack does with it.


def bytetrack(seen, **options):
    """Identities of each frame's detections; 0 is none."""
    tracker, ids = ByteTrackTracker(frame_rate=rate_of(seen), **options), []
    for frame in seen:
        n = len(frame.boxes)
        out = tracker.update(supervision.Detections(xyxy=frame.boxes, confidence=frame.scores, data={"place": numpy.arange(n)}))
        given = [0] * n
        if len(out):
            for place, number in zip(out.data["place"], out.tracker_id):
                given[place] = int(number) + 1  # its first is 0, and -1 is none
        ids.append(given)
    return ids


# --- Which detections are one thing. A chain is a list of (frame, place in its boxes), by rising frame.


def six_people(seen, score):
    """The best detection of each frame, by whose time it is. Between two people's times nobody is there; the middle parts them."""
    edges = [0.0, *((gone + come) / 2 for gone, come in zip(GONE, COME[1:])), float("inf")]
    chains = []
    for begin, end in zip(edges, edges[1:]):
        at = [i for i, frame in enumerate(seen) if begin <= frame.time < end and len(frame.scores) and frame.scores.max() >= score]
        chains.append([(i, int(seen[i].scores.argmax())) for i in at])
    return chains


def by_overlap(seen, score):
    return offline(seen, score, lambda common, row, column: True)


def by_speed(seen, score):
    return offline(seen, score, alone)


def offline(seen, score, sure):
    pieces = consecutive(seen, score, sure)
    return [chain for chain in bridged(seen, pieces, rate_of(seen)) if len(chain) >= SHORTEST]


def consecutive(seen, score, sure):
    """Chains without gaps, of pairs that sure holds of."""
    pieces, last = [], []  # last: of the frame before
    for i, frame in enumerate(seen):
        places = numpy.flatnonzero(frame.scores >= score)
        common = overlap(numpy.array([seen[i - 1].boxes[p[-1][1]] for p in last]).reshape(-1, 4), frame.boxes[places])
        found = {column: last[row] for row, column in best_pairs(common, OVERLAP) if sure(common, row, column)}
        last = []
        for column, place in enumerate(places):
            piece = found.get(column)
            if piece is None:
                piece = []
                pieces.append(piece)
            piece.append((i, int(place)))
            last.append(piece)
    return pieces


def alone(common, row, column):
    """Whether no other detection comes into question for either of a pair; where one does, speed may say which it is."""
    return (common[row] >= OVERLAP).sum() == 1 and (common[:, column] >= OVERLAP).sum() == 1


def bridged(seen, pieces, rate):
    """Joins pieces, all at once, so that the sum of what they have in common is greatest."""
    common = numpy.zeros((len(pieces), len(pieces)))
    for a, before in enumerate(pieces):
        for b, after in enumerate(pieces):
            if 0 < after[0][0] - before[-1][0] <= GAP * rate:
                common[a, b] = meeting(seen, before, after, rate)
    following = dict(best_pairs(common, BRIDGED))
    chains = []
    for first in set(range(len(pieces))) - set(following.values()):
        chain = []
        while first is not None:
            chain += pieces[first]
            first = following.get(first)
        chains.append(chain)
    return sorted(chains)


def meeting(seen, before, after, rate):
    """The mean IoU of each end with the other, prolonged to its frame."""
    memory, gap = max(2, round(MEMORY * rate)), after[0][0] - before[-1][0]
    return (prolonged(seen, before[-memory:], -1, gap, after[0]) + prolonged(seen, after[:memory], 0, -gap, before[-1])) / 2


def prolonged(seen, some, end, step, other):
    boxes = numpy.array([seen[i].boxes[place] for i, place in some])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    at = numpy.array([i for i, _ in some], float)
    speed = numpy.polyfit(at - at[0], centres, 1)[0] if len(some) > 1 else numpy.zeros(2)
    moved = boxes[end] + numpy.tile(speed * step, 2)
    return overlap(moved[None], seen[other[0]].boxes[other[1]][None])[0, 0]


def overlap(a, b):
    """IoU of each of a with each of b."""
    sides = numpy.minimum(a[:, None, 2:], b[None, :, 2:]) - numpy.maximum(a[:, None, :2], b[None, :, :2])
    common = sides.clip(0).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return common / numpy.maximum(area_a[:, None] + area_b[None] - common, 1e-9)


def best_pairs(value, least):
    """Pairs of at least so much; others are worth nothing, so that none of them pushes a good one aside."""
    value = numpy.where(value >= least, value, 0)
    return [(int(a), int(b)) for a, b in zip(*linear_sum_assignment(value, maximize=True)) if value[a, b] > 0]


# --- Counting, the same for both.


def count(seen, chains, ids):
    rows = [[ids[i][place] for i, place in chain] for chain in chains]
    where = [s for chain, row in zip(chains, rows) for s in switches(seen, chain, row)]
    held = sum(number != 0 for row in rows for number in row)
    return {"ids": len({number for frame in ids for number in frame} - {0}), "chains": len(chains), "switches": len(where),
            "fragments": sum(map(fragments, rows)), "followed": held / max(1, sum(map(len, rows))),
            "ids_of_chain": [len(set(row) - {0}) for row in rows], "where": where}


def switches(seen, chain, row):
    last, found = 0, []
    for (i, place), number in zip(chain, row):
        if number and last and number != last:
            found.append({"seconds": round(seen[i].time, 2), "frame": i, "from": last, "to": number,
                          "box": [round(v) for v in seen[i].boxes[place]]})
        last = number or last
    return found


def fragments(row):
    """Times that an identity comes after none that came after one."""
    held = [number != 0 for number in row]
    return max(0, sum(b and not a for a, b in zip([False, *held], held)) - 1)


TRACKERS = {
    "sightline": lambda seen: [frame.ids for frame in seen],
    "ByteTrack, defaults": bytetrack,
    # So that what is left of a difference is pairing: High, MinHits and Lost of detect/track/config.go.
    "ByteTrack, our thresholds": lambda seen: bytetrack(
        seen, track_activation_threshold=0.5, high_conf_det_threshold=0.5, minimum_consecutive_frames=3, lost_track_buffer=60),
}


TRUTH, OFFLINE = {"by time": six_people}, {"by overlap": by_overlap, "by speed": by_speed}


def measure(o, clip, labels, ways):
    with tempfile.TemporaryDirectory() as folder:
        detections, tracks = asyncio.run(play(o, clip, labels, pathlib.Path(folder)))
    return {label: of_label(o, clip.name, frames(clip.name, detections, tracks, label), label, ways) for label in labels}


def of_label(o, clip, seen, label, ways):
    """What was counted, by the way in which chains were made and the tracker; also shown."""
    given = {name: track(seen) for name, track in TRACKERS.items()}
    report = {"frames": len(seen), "rate": round(rate_of(seen), 3), "detections": sum(len(f.boxes) for f in seen), "ways": {}}
    print(f"\n{clip}: {report['frames']} frames, {report['rate']} a second, {report['detections']} detections of {label}")
    for way, chains_of in ways.items():
        chains = chains_of(seen, o.score)
        if not chains:
            print(f"no chains {way}: nothing to follow")
            continue
        report["ways"][way] = {name: count(seen, chains, ids) for name, ids in given.items()}
        show(way, report["ways"][way], ways is TRUTH)
    return report


def show(way, trackers, each):
    print(f"\n| chains {way} | ids | chains | switches | fragments | followed |\n|---|---|---|---|---|---|")
    for name, row in trackers.items():
        figures = " | ".join(str(row[key]) for key in ("ids", "chains", "switches", "fragments"))
        print(f"| {name} | {figures} | {100 * row['followed']:.1f} % |", flush=True)
    if each:
        print("".join(f"ids of each person, {name}: {row['ids_of_chain']}\n" for name, row in trackers.items()), end="", flush=True)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = pathlib.Path(__file__).resolve().parents[2] / "models"
    p.add_argument("--clips", type=pathlib.Path, required=True, help="folder with one-by-one-person-detection.mp4 and car-detection.mp4")
    p.add_argument("--vtest", type=pathlib.Path, required=True, help="vtest.avi; tools/setup/clip.sh has it")
    p.add_argument("--model", type=pathlib.Path, default=models / "yolox-nano-int8.onnx")
    p.add_argument("--sightline", type=pathlib.Path, default="bin/sightline")
    p.add_argument("--score", type=float, default=0.5, help="lowest score of a chain's detections")
    p.add_argument("--json", type=pathlib.Path, help="file for all figures, and where each switch is")
    return p.parse_args()


def main():
    o = options()
    print(__doc__.partition("\n\n")[2])
    report = {"trackers": importlib.metadata.version("trackers"), "model": o.model.name, "score": o.score, "clips": {}}
    for clip, labels, ways in ((o.clips / "one-by-one-person-detection.mp4", ["person"], TRUTH), (o.vtest, ["person"], OFFLINE),
                               (o.clips / "car-detection.mp4", ["car", "person"], OFFLINE)):
        report["clips"][clip.name] = measure(o, clip, labels, ways)
    if o.json:
        o.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
