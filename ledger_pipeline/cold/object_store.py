"""The cold store in object storage: S3, and what speaks its protocol.

Credentials, region and endpoint come from where every AWS client takes them (`AWS_PROFILE`, `AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, the machine's role …). Messages name the place and the kind of error; what a request carried is
never in one.
"""

# boto3 has no type stubs.
# pyright: reportUnknownParameterType=false

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from ledger_pipeline.errors import ColdStoreUnreachable, ColdStoreUnwritable
from ledger_pipeline.settings import Bucket

PART_BYTES = 16 << 20
"""A larger object is uploaded in parts of this size; S3 takes 10,000 of at least 5 MiB."""

_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_CONFLICTS = 10
_CONFLICT_SECONDS = 1.0
_FAILURES = (ClientError, BotoCoreError, Boto3Error)
_MISSING = {"NoSuchKey", "404"}


@dataclass(frozen=True)
class StoredObject:
    """An object, named below the cold store's root; `upload` is the id of one whose upload was never finished."""

    name: str
    bytes: int
    upload: str | None = None


def upload(bucket: Bucket, name: str, content: BinaryIO, size: int, digest: str) -> None:
    """Stores an object under a name that no object has; one with this content that is there already is as good.

    Raises ColdStoreUnwritable for one with other content, which stays as it is, or a store that takes none.
    """
    for attempt in range(_CONFLICTS):
        try:
            content.seek(0)
            _put(bucket, name, content, size)
        except _FAILURES as error:
            # Whatever went wrong: an answer can be lost after the object was stored.
            there = _digest_of(bucket, name)
            if there == digest:
                return
            if there is not None:
                raise ColdStoreUnwritable(
                    f"{bucket}/{name} is there with other content (SHA-256 {there}, not {digest}), and nothing is"
                    " written over it: move that object away, then roll again"
                ) from None
            if _code(error) != "ConditionalRequestConflict" or attempt + 1 == _CONFLICTS:
                raise _failure(bucket, error, writing=True) from None
            time.sleep(_CONFLICT_SECONDS)
        else:
            return


def download(bucket: Bucket, name: str, into: BinaryIO) -> bool:
    """Copies an object's bytes to a file; False when the bucket holds no such object.

    Raises ColdStoreUnreachable, which tells nothing of the object.
    """
    with _failures_named(bucket):
        try:
            client().download_fileobj(bucket.name, bucket.key(name), into)
        except ClientError as error:
            if _code(error) not in _MISSING:
                raise
            # A missing bucket gives the same answer; to this request it gives another.
            client().list_objects_v2(Bucket=bucket.name, MaxKeys=1)
            return False
    return True


def objects_below(bucket: Bucket, folder: str) -> list[StoredObject]:
    """Every object in a folder, and every upload to it that was begun and not finished, by name."""
    with _failures_named(bucket):
        s3, within = client(), {"Bucket": bucket.name, "Prefix": bucket.key(folder) + "/"}
        root = len(bucket.key(""))
        found = [
            StoredObject(each["Key"][root:], each["Size"])
            for page in s3.get_paginator("list_objects_v2").paginate(**within)
            for each in page.get("Contents", ())
        ]
        for page in s3.get_paginator("list_multipart_uploads").paginate(**within):
            for each in page.get("Uploads", ()):
                key, upload_id = each["Key"], each["UploadId"]
                pages = s3.get_paginator("list_parts").paginate(Bucket=bucket.name, Key=key, UploadId=upload_id)
                size = sum(part["Size"] for parts in pages for part in parts.get("Parts", ()))
                found.append(StoredObject(key[root:], size, upload_id))
    return sorted(found, key=lambda each: (each.name, each.upload or ""))


def folders(bucket: Bucket) -> list[str]:
    """The names of the folders at the cold store's root."""
    with _failures_named(bucket):
        root = bucket.key("")
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=root, Delimiter="/")
        return [each["Prefix"][len(root) : -1] for page in pages for each in page.get("CommonPrefixes", ())]


def remove(bucket: Bucket, name: str, upload_id: str | None = None) -> None:
    """Removes an object, or what was uploaded of one; none there is as good."""
    place = {"Bucket": bucket.name, "Key": bucket.key(name)}
    with _failures_named(bucket):
        if upload_id is None:
            client().delete_object(**place)
            return
        try:
            client().abort_multipart_upload(**place, UploadId=upload_id)
        except ClientError as error:
            if _code(error) != "NoSuchUpload":
                raise


@cache
def client() -> Any:
    """This process's client; threads share it. It tries a request three times, or `AWS_MAX_ATTEMPTS` times."""
    # When everything is logged, it logs what it signs, and that has a session's token.
    logging.getLogger("botocore").setLevel(logging.INFO)
    waits = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"mode": "standard"})
    try:
        return boto3.Session().client("s3", config=waits)
    except ValueError:
        raise ColdStoreUnreachable("AWS_ENDPOINT_URL must be a URL with http:// or https://") from None


def _put(bucket: Bucket, name: str, content: BinaryIO, size: int) -> None:
    """One request, or parts and one that joins them; either way the object is there as a whole or not at all."""
    s3, place = client(), {"Bucket": bucket.name, "Key": bucket.key(name)}
    if size <= PART_BYTES:
        s3.put_object(**place, Body=content, IfNoneMatch="*")
        return
    place["UploadId"] = s3.create_multipart_upload(**place)["UploadId"]
    try:
        parts: list[dict[str, Any]] = []
        while block := content.read(PART_BYTES):
            number = len(parts) + 1
            part = s3.upload_part(**place, PartNumber=number, Body=block)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    except BaseException:
        with suppress(*_FAILURES):
            s3.abort_multipart_upload(**place)
        raise


def _digest_of(bucket: Bucket, name: str) -> str | None:
    """The SHA-256 of an object as it is stored, None when there is none."""
    digest = sha256()
    with _failures_named(bucket):
        try:
            body = client().get_object(Bucket=bucket.name, Key=bucket.key(name))["Body"]
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise
        with body:
            for block in body.iter_chunks(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def _failures_named(bucket: Bucket) -> Generator[None]:
    try:
        yield
    except _FAILURES as error:
        raise _failure(bucket, error) from None


def _failure(bucket: Bucket, error: Exception, *, writing: bool = False) -> ColdStoreUnreachable | ColdStoreUnwritable:
    """The ledger's error for one of the client's, whose own text can hold parts of the request."""
    code = _code(error)
    if code == "NoSuchBucket":
        return ColdStoreUnreachable(
            f"the cold store {bucket} is not there: {_endpoint()} has no bucket {bucket.name}: set LEDGER_COLD_URL to"
            " the place that the roll writes to"
        )
    if writing and isinstance(error, ClientError) and _status(error) // 100 == 4:
        return ColdStoreUnwritable(f"cannot write to the cold store {bucket}: {_endpoint()} answers {code}")
    if isinstance(error, ClientError):
        what = f"{_endpoint()} answers {code}"
    else:
        what = f"{type(error).__name__} at {_endpoint()}"
    return ColdStoreUnreachable(
        f"the cold store {bucket} cannot be reached: {what}; nothing is known of its files: check the network,"
        " AWS_ENDPOINT_URL and the credentials, then try again"
    )


def _code(error: Exception) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else ""


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _endpoint() -> str:
    """The server's name and port, without what else a URL can hold."""
    try:
        url = urlsplit(client().meta.endpoint_url)
    except _FAILURES:
        return "the endpoint that is set"
    return f"{url.hostname}:{url.port}" if url.port else str(url.hostname)
