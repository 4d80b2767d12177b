"""Labels footage in rounds, as a person would with the page, and measures what suggestions save.

    python benchmarks/label_loop.py --videos DIR --annotations FILE --work DIR [--rounds 4]

The person of this script knows the annotations. Each round labels some more videos: a suggestion
whose tIoU with a true action is at least 0.5 is accepted (those of the right class first, then with
another class), and each of its ends that is more than 0.3 s wrong is moved; other suggestions are
rejected; missing actions are marked. Marks are counted: an end that is moved 1, a class that is
changed 1, a rejected suggestion 1, a missing action 3 (start, end, class). So labelling from
nothing takes 3 marks an action. Then the server learns.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import provenance

sys.path.insert(0, str(Path(__file__).parent.parent))

from afsd_jax.data.annotations import read_annotations
from afsd_jax.evaluation import evaluate
from afsd_jax.evaluation.overlaps import tiou_of
from afsd_jax.io.activitynet_json import predictions_of
from afsd_jax.io.files import read_json, write_json
from afsd_jax.types import Action, AnnotatedVideo
from tests.labelling.served import Served, serving

SAME_TIOU, NEAR_S = 0.5, 0.3
KINDS = ("accepted", "unchanged", "moved", "class", "rejected", "missing")


def label_video(served: Served, number: int, actions: Sequence[Action]) -> dict[str, int]:
    """Labels a video completely; returns the marks that it took, by kind."""
    video = served.video(number)
    left, counts = list(actions), dict.fromkeys(KINDS, 0)
    post: dict[str, Any] = {"version": video["version"], "put": [], "accept": [], "reject": []}
    undecided = sorted(video["suggestions"], key=lambda one: -one["score"])
    for same_class in (True, False):
        for found in list(undecided):
            near = [a for a in left if a.label == found["label"] or not same_class]
            best = max(near, key=lambda action: _overlap(found, action), default=None)
            if best is None or _overlap(found, best) < SAME_TIOU:
                continue
            left.remove(best)
            undecided.remove(found)
            moved_start = abs(found["start"] - best.start_s) > NEAR_S
            moved_end = abs(found["end"] - best.end_s) > NEAR_S
            start = best.start_s if moved_start else found["start"]
            end = best.end_s if moved_end else found["end"]
            post["accept"].append(found["id"])
            post["put"].append(_segment(f"s{found['id']}", best.label, start, end))
            counts["accepted"] += 1
            counts["moved"] += moved_start + moved_end
            counts["class"] += not same_class
            counts["unchanged"] += same_class and not moved_start and not moved_end
    post["reject"] = [found["id"] for found in undecided]
    counts["rejected"] = len(undecided)
    for index, action in enumerate(left):
        post["put"].append(_segment(f"m{index}", action.label, action.start_s, action.end_s))
        counts["missing"] += 1
    answer = served.post(f"/api/videos/{number}", {**post, "reviewed": True})
    assert answer.status == 200, answer
    return counts


def _segment(key: str, label: str, start: float, end: float) -> dict[str, object]:
    return {"id": key, "label": label, "start": start, "end": end}


def _overlap(found: dict[str, Any], action: Action) -> float:
    return tiou_of(found["start"], found["end"], action.start_s, action.end_s)


def learn(served: Served) -> dict[str, Any]:
    """Makes one round; returns what the server tells of it."""
    served.post("/api/learn", {"action": "start"})
    while (state := served.get("/api/project").json["learn"])["state"] != "done":
        assert state["state"] not in ("failed", "stopped"), state
        time.sleep(2)
    return state["rounds"][-1]


def map_on_others(folder: Path, number: int, truth: dict[str, AnnotatedVideo]) -> float:
    """Returns the mAP at tIoU 0.5 of a round on the videos that nobody had labelled then."""
    found: dict[str, Any] = {}
    for path in (folder / f"round-{number}").glob("found-*.json"):
        found |= predictions_of(read_json(path), path)
    plan_kept = json.loads((folder / "rounds.json").read_text())[number - 1]["reviewed"]
    others = {name: truth[name] for name in found if name not in plan_kept}
    return float(evaluate(others, found, (SAME_TIOU,)).mean_ap[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--together", type=int, default=4, help="videos labelled in a round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    truth, labels = read_annotations(args.annotations), args.work / "labels.csv"
    rounds: list[dict[str, Any]] = []
    with serving(*args.videos, "--labels", labels) as served:
        videos = [(v["number"], v["name"]) for v in served.get("/api/project").json["videos"]]
        random.Random(args.seed).shuffle(videos)
        for number in range(1, args.rounds + 1):
            chosen = videos[(number - 1) * args.together : number * args.together]
            parts = [label_video(served, n, truth[name].actions) for n, name in chosen]
            marks = {kind: sum(part[kind] for part in parts) for kind in parts[0]}
            actions = sum(len(truth[name].actions) for _, name in chosen)
            told = learn(served)
            record = {
                "round": number,
                "actions": actions,
                "marks_from_nothing": 3 * actions,
                "marks": marks["moved"] + marks["class"] + marks["rejected"] + 3 * marks["missing"],
                **marks,
                "server": {k: told[k] for k in ("map", "f1", "accepted_unchanged", "corrections")},
                "min_score": told["min_score"],
                "minutes": round(told["minutes"], 2),
                "map_on_unlabelled": map_on_others(_folder(labels), number, truth),
            }
            print(json.dumps(record), flush=True)
            rounds.append(record)
    if args.output:
        origin = {"command": "python benchmarks/label_loop.py", **provenance("jax", "openvino")}
        write_json(args.output, {**origin, "videos": len(videos), "rounds": rounds})


def _folder(labels: Path) -> Path:
    return labels.parent / f".{labels.name}.afsd" / "learn"


if __name__ == "__main__":
    main()
