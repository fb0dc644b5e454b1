"""Schemathesis hooks: names of existing objects, so that requests pass the look-up."""

import os

import schemathesis

EXISTING = {"pool": "tried", "id": os.environ["CLIENT_KEY_ID"]}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Uses the existing pool and client key, except in requests that delete."""
    operation = context.operation
    if path_parameters and operation.path.startswith("/admin/") and operation.method != "delete":
        return {name: EXISTING[name] for name in path_parameters}
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    """Writes whole numbers without a fraction: JSON Schema accepts 1.0 as an integer, typed JSON parsers do not."""
    return whole(body)


def whole(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value
