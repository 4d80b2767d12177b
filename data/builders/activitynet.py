"""TFDS builder of ActivityNet 1.3."""

from afsd_jax.data import annotations
from afsd_jax.data.builders import citations
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.decode.media import single_file
from afsd_jax.types import AnnotatedVideo

# The annotations of the test videos are not public: results are reported on the validation videos.
_SPLITS = {"training": "train", "validation": "test"}


class Activitynet(VideoBuilder):
    """ActivityNet 1.3: 200 classes of everyday activities, at most 768 frames per video.

    Videos that no longer exist are left out and listed. The split test holds the validation
    videos.
    """

    name = "activitynet"
    HOMEPAGE = citations.ACTIVITYNET_HOMEPAGE
    CITATION = citations.ACTIVITYNET + citations.AFSD
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    The folder holds the videos and activity_net.v1-3.min.json, from
    http://activity-net.org/download.html.
    """
    FPS = 0.0
    MAX_FRAMES = 768
    COUNT_FRAMES = True
    ALLOW_MISSING = True
    PREFIXES = ("v_", "")  # as in the published files, and without

    def read_annotations(self) -> annotations.Annotations:
        """Reads activity_net.v1-3.min.json; actions that end before they start are dropped."""
        path = self.options.annotations or single_file(self.options.source, (".json",))
        videos = {}
        for name, video in annotations.read_activitynet(path).items():
            actions = tuple(action for action in video.actions if action.end_s > action.start_s)
            split = _SPLITS.get(video.subset)
            if split and actions:
                videos[name] = AnnotatedVideo(split, video.duration_s, actions, video.place)
        return videos
