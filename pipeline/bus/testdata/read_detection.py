"""Reads one detection from NATS, validates it against its JSON Schema and prints OK.

Usage: read_detection.py URL SUBJECT SCHEMA-FILE. Prints READY once subscribed.
"""

import asyncio
import json
import sys

import jsonschema
import nats

SECONDS = 20


async def main(url, subject, schema_file):
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    client = await nats.connect(url, connect_timeout=SECONDS)
    subscription = await client.subscribe(subject, max_msgs=1)
    await client.flush()
    print("READY", flush=True)
    message = await subscription.next_msg(timeout=SECONDS)
    detections = json.loads(message.data)
    jsonschema.Draft202012Validator(schema).validate(detections)
    if message.headers["Nats-Msg-Id"] != "{camera}/{session}/{seq}".format(**detections):
        raise SystemExit("the message id is not camera/session/seq: " + message.headers["Nats-Msg-Id"])
    print("OK", detections["camera"], detections["seq"], len(detections["objects"]), flush=True)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
