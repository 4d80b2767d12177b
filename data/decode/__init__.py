"""From files to frames: videos, arrays, flow."""
