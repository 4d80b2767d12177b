"""The command `afsd detect`: many videos, a pipe, or a prepared data set."""
