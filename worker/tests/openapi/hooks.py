"""Names of things that exist, so that requests get beyond the look-up."""

import os

import schemathesis

EXISTING = {"pool": "tried", "id": os.environ["CLIENT_KEY_ID"]}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """The pool and the client key that are there; what deletes them gets names of nothing."""
    operation = context.operation
    if path_parameters and operation.path.startswith("/admin/") and operation.method != "delete":
        return {name: EXISTING[name] for name in path_parameters}
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    """Whole numbers without a fraction: to JSON Schema 1.0 is an integer, to a reader of typed JSON it is not."""
    return whole(body)


def whole(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value
