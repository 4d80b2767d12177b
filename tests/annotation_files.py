"""A small annotation file of each tool that people use, as the tool writes it."""

from typing import Any

BORIS_AGGREGATED = """\
Observation id,Observation date,Description,Observation type,Source,Time offset (s),\
Coding duration,Media duration (s),FPS (frame/s),Subject,\
Observation duration by subject by observation,Behavior,Behavioral category,Modifier #1,\
Behavior type,Start (s),Stop (s),Duration (s),Media file name,Image index start,Image index stop,\
Image file path start,Image file path stop,Comment start,Comment stop
pen 1,2024-05-02 10:11:12,,Media file,player #1:/home/ana/pen_1.mp4,0.0,\
51.250,60.000,25.000,hen 1,5.5,peck,Feeding,ground,STATE,3.240,8.740,5.500,\
/home/ana/pen_1.mp4,81,218,NA,NA,,
pen 1,2024-05-02 10:11:12,,Media file,player #1:/home/ana/pen_1.mp4,0.0,\
51.250,60.000,25.000,hen 1,5.5,call,Voice,,POINT,9.000,9.000,NA,/home/ana/pen_1.mp4,225,225,NA,NA,,
pen 2,2024-05-02 11:00:00,,Media file,player #1:/home/ana/pen_2.avi,0.0,\
20.000,30.000,25.000,hen 2,4.0,"rest, lying",,,STATE,0.000,4.000,4.000,\
/home/ana/pen_2.avi,0,100,NA,NA,,
"""

BORIS_PROJECT: dict[str, Any] = {
    "time_format": "hh:mm:ss",
    "project_date": "2024-05-02T10:00:00",
    "project_name": "pens",
    "project_description": "",
    "project_format_version": "7.0",
    "subjects_conf": {"0": {"key": "1", "name": "hen 1", "description": ""}},
    "behaviors_conf": {
        "0": {
            "type": "State event",
            "key": "p",
            "code": "peck",
            "description": "",
            "color": "",
            "category": "Feeding",
            "modifiers": {},
            "excluded": "",
            "coding map": "",
        },
        "1": {"type": "Point event", "key": "c", "code": "call", "modifiers": {}},
    },
    "observations": {
        "pen 1": {
            "file": {"1": ["/home/ana/pen_1.mp4"], "2": ["/home/ana/side_1.mp4"], "3": []},
            "type": "MEDIA",
            "date": "2024-05-02T10:11:12",
            "description": "",
            "time offset": 0.0,
            "events": [
                [3.24, "hen 1", "peck", "ground", "", 81],
                [4.0, "", "peck", "", "", 100],
                [5.0, "hen 1", "call", "", "", 125],
                [6.0, "", "peck", "", "", 150],
                [8.74, "hen 1", "peck", "ground", "", 218],
            ],
            "independent_variables": {},
            "media_info": {
                "length": {"/home/ana/pen_1.mp4": 60.0, "/home/ana/side_1.mp4": 60.0},
                "fps": {"/home/ana/pen_1.mp4": 25.0, "/home/ana/side_1.mp4": 25.0},
                "hasVideo": {"/home/ana/pen_1.mp4": True, "/home/ana/side_1.mp4": True},
                "hasAudio": {"/home/ana/pen_1.mp4": True, "/home/ana/side_1.mp4": False},
                "offset": {"1": 0.0, "2": 1.5},
            },
        },
        "pen 2": {
            "file": {"1": ["pen_2.avi"], "2": []},
            "type": "MEDIA",
            "time offset": 0.0,
            "events": [],
            "media_info": {},
        },
    },
    "behavioral_categories": ["Feeding"],
    "independent_variables": {},
    "coding_map": {},
    "behaviors_coding_map": [],
    "converters": {},
}

ELAN_EAF = """\
<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-05-02T10:11:12+01:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/talk%201.wav" MIME_TYPE="audio/x-wav"
            RELATIVE_MEDIA_URL="./talk%201.wav"/>
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/talk%201.mp4" MIME_TYPE="video/mp4"
            RELATIVE_MEDIA_URL="./talk%201.mp4"/>
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/side.mp4" MIME_TYPE="video/mp4"/>
        <PROPERTY NAME="lastUsedAnnotationId">5</PROPERTY>
    </HEADER>
    <TIME_ORDER>
        <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/>
        <TIME_SLOT TIME_SLOT_ID="ts2"/>
        <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2750"/>
    </TIME_ORDER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="gesture">
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
                <ANNOTATION_VALUE> wave &amp; nod
                </ANNOTATION_VALUE>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
                <ANNOTATION_VALUE></ANNOTATION_VALUE>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
        <ANNOTATION>
            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
                <ANNOTATION_VALUE>half</ANNOTATION_VALUE>
            </ALIGNABLE_ANNOTATION>
        </ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="note" PARENT_REF="gesture" TIER_ID="comment">
        <ANNOTATION>
            <REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a1">
                <ANNOTATION_VALUE>twice</ANNOTATION_VALUE>
            </REF_ANNOTATION>
        </ANNOTATION>
    </TIER>
    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt"/>
</ANNOTATION_DOCUMENT>
"""


def label_studio_result(label: str, start: int, end: int) -> dict[str, Any]:
    return {
        "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]},
        "id": "Wq2dF8aB1x",
        "from_name": "timelineLabels",
        "to_name": "video",
        "type": "timelinelabels",
        "origin": "manual",
    }


LABEL_STUDIO_TASK: dict[str, Any] = {
    "id": 12,
    "annotations": [
        {
            "id": 31,
            "completed_by": 1,
            "result": [
                label_studio_result("Movement", 1, 25),
                label_studio_result("Nothing", 51, 51),
            ],
            "was_cancelled": False,
            "ground_truth": False,
            "lead_time": 23.9,
            "result_count": 2,
        }
    ],
    "file_upload": "3d3ad63e-kitchen_1.mp4",
    "drafts": [],
    "predictions": [{"result": [label_studio_result("Movement", 1, 500)]}],
    "data": {"video": "/data/upload/1/3d3ad63e-kitchen_1.mp4", "fps": 25},
    "meta": {},
    "project": 1,
}


def via_segment(vid: str, start_s: float, end_s: float, value: str) -> dict[str, Any]:
    return {"vid": vid, "flg": 0, "z": [start_s, end_s], "xy": [], "av": {"1": value}}


VIA_PROJECT: dict[str, Any] = {
    "project": {
        "pid": "__VIA_PROJECT_ID__",
        "rev": "__VIA_PROJECT_REV_ID__",
        "pname": "Cooking",
        "creator": "VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
        "data_format_version": "3.1.1",
        "vid_list": ["1", "2", "3"],
    },
    "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
    "attribute": {
        "2": {
            "aname": "object",
            "anchor_id": "FILE1_Z1_XY1",
            "type": 1,
            "options": {},
        },
        "1": {
            "aname": "TEMPORAL-SEGMENTS",
            "anchor_id": "FILE1_Z2_XY0",
            "type": 4,
            "desc": "Temporal segment attribute added by default",
            "options": {"default": "Default", "7": "Pour liquid", "stir": ""},
            "default_option_id": "",
        },
    },
    "file": {
        "1": {"fid": 1, "fname": "kitchen_1.mp4", "type": 4, "loc": 1, "src": ""},
        "2": {"fid": "2", "fname": "https://host/kitchen_2.webm", "type": 4, "loc": 2, "src": ""},
        "3": {"fid": 3, "fname": "unseen.mp4", "type": 4, "loc": 1, "src": ""},
    },
    "view": {"1": {"fid_list": [1]}, "2": {"fid_list": ["2"]}, "3": {"fid_list": ["3"]}},
    "metadata": {
        "1_ysf4qqfC": via_segment("1", 1.5, 4.25, "7"),
        "1_yQCRxO4z": via_segment("1", 5, 6, "stir"),
        "2_psxAWPPc": via_segment("2", 0, 2.5, "default"),
        "1_mwXvwsJo": {
            "vid": "1",
            "flg": 0,
            "z": [2.0],
            "xy": [2, 10, 10, 20, 20],
            "av": {"2": "pan"},
        },
    },
}
