"""The local application in which people label videos, correct suggestions and learn from both.

`records` and `changes` are what is labelled and how it changes, without files; `label_store` keeps
it in a journal and in the labels file; `label_server` answers the page, and nobody else (`access`).
"""
