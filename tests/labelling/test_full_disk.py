"""On a full disk a change is refused and says so; what was answered before stays."""

from afsd_jax.data.annotations import read_annotations
from tests.labelling.served import segment, serving, until
from tests.small_disks import enlarge, mounted


def test_a_full_disk_loses_nothing_that_was_answered(footage, tmp_path):
    with mounted(tmp_path / "disk", "size=256k") as disk:
        labels = disk / "labels.csv"
        with serving(footage, "--labels", labels) as served:
            version, answered, status = 0, [], 200
            while status == 200:
                key = f"k{len(answered)}"
                put = [segment(key, 0, 1, note="n" * 8000)]
                answer = served.post("/api/videos/1", {"version": version, "put": put})
                status = answer.status
                if status == 200:
                    answered.append(key)
                    version = answer.json["version"]
            assert (status, len(answered) > 5) == (507, True)
            assert "No space left" in answer.json["error"]
            assert [s["id"] for s in served.video()["segments"]] == answered
            served.kill()
        enlarge(disk, "size=4m")
        with serving(footage, "--labels", labels) as served:
            assert [s["id"] for s in served.video()["segments"]] == answered
            answer = served.post("/api/videos/1", {"version": version, "put": [segment("z", 0, 1)]})
            assert answer.status == 200
            wanted = len(answered) + 1
            until(lambda: len(read_annotations(labels)["one"].actions) == wanted)
            assert served.stop() in (0, 130)
