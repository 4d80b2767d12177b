"""One configuration file per benchmark; each has `get_config(variant)`."""

import ml_collections

from afsd_jax.errors import UserError

STREAM_CHANNELS = {"rgb": 3, "flow": 2}


def set_stream(config: ml_collections.ConfigDict, stream: str) -> None:
    """Sets the fields in which the streams, rgb and flow, differ.

    Raises:
      UserError: there is no such stream.
    """
    if stream not in STREAM_CHANNELS:
        raise UserError(f"configuration: there is no stream {stream!r}, only rgb and flow")
    config.data.stream = stream
    config.model.in_channels = STREAM_CHANNELS[stream]
