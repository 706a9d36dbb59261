"""Reason phrases are part of documented texts, and the same on every Python."""

from __future__ import annotations

import sys
from http import HTTPStatus

import pytest

from app.outbound.reason_phrases import reason_phrase

# As they have always been shown; those with another name since Python 3.13 are marked.
DOCUMENTED = """
100 Continue
101 Switching Protocols
102 Processing
103 Early Hints
200 OK
201 Created
202 Accepted
203 Non-Authoritative Information
204 No Content
205 Reset Content
206 Partial Content
207 Multi-Status
208 Already Reported
226 IM Used
300 Multiple Choices
301 Moved Permanently
302 Found
303 See Other
304 Not Modified
305 Use Proxy
307 Temporary Redirect
308 Permanent Redirect
400 Bad Request
401 Unauthorized
402 Payment Required
403 Forbidden
404 Not Found
405 Method Not Allowed
406 Not Acceptable
407 Proxy Authentication Required
408 Request Timeout
409 Conflict
410 Gone
411 Length Required
412 Precondition Failed
413 Request Entity Too Large
414 Request-URI Too Long
415 Unsupported Media Type
416 Requested Range Not Satisfiable
417 Expectation Failed
418 I'm a Teapot
421 Misdirected Request
422 Unprocessable Entity
423 Locked
424 Failed Dependency
425 Too Early
426 Upgrade Required
428 Precondition Required
429 Too Many Requests
431 Request Header Fields Too Large
451 Unavailable For Legal Reasons
500 Internal Server Error
501 Not Implemented
502 Bad Gateway
503 Service Unavailable
504 Gateway Timeout
505 HTTP Version Not Supported
506 Variant Also Negotiates
507 Insufficient Storage
508 Loop Detected
510 Not Extended
511 Network Authentication Required
"""
RENAMED = {413, 414, 416, 422}  # by Python 3.13, after RFC 9110


def test_phrases_are_those_written_here_and_no_others() -> None:
    shown = {status: reason_phrase(status) for status in range(1000)}
    assert [f"{status} {phrase}" for status, phrase in shown.items() if phrase] == DOCUMENTED.split("\n")[1:-1]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="3.13 renamed some")
def test_phrases_are_those_of_python_before_it_renamed_some() -> None:
    assert {status.value: reason_phrase(status) for status in HTTPStatus} == {
        status.value: status.phrase for status in HTTPStatus
    }


def test_no_other_phrase_differs_from_this_python() -> None:
    assert {status.value for status in HTTPStatus if reason_phrase(status) != status.phrase} <= RENAMED


@pytest.mark.parametrize("status", [0, 299, 306, 599, 799])
def test_reason_phrase_of_an_unknown_status_is_nothing(status: int) -> None:
    assert reason_phrase(status) == ""
