"""Journals S3 objects that a program reads and writes through botocore. Loaded by the tracker once that is imported.

botocore's own list of handlers, which every new session registers, gets two more: one sees which object is asked for,
one what S3 answered. They return nothing, so they change nothing. Standard library only, CPython 3.8 and later.
"""

import sys

MOST = 10000
CALLS = {"GetObject": False, "HeadObject": False, "PutObject": True, "CompleteMultipartUpload": True}
"""Operation → whether it writes."""
ASKED = "launch_jobs_asked"


class Objects:
    def __init__(self, tracker, names):
        self.append = tracker.append
        self.seen = set()
        self.waiting = True
        names["OURS"] |= {Objects.imported.__code__.co_filename}

    def imported(self):
        """Something is about to be imported: maybe the first thing behind botocore's handlers, which are whole then."""
        handlers = getattr(sys.modules.get("botocore.handlers"), "BUILTIN_HANDLERS", None)
        if type(handlers) is list:
            self.waiting = False
            for call in CALLS:
                handlers.append(("before-parameter-build.s3." + call, self.asked))
                handlers.append(("after-call.s3." + call, self.answered))

    def asked(self, params, context, **_):
        try:
            context[ASKED] = (str(params["Bucket"]), str(params["Key"]))
        except Exception:
            return

    def answered(self, parsed, model, context, http_response, **_):
        try:
            if http_response.status_code < 300 and len(self.seen) < MOST:
                self.journal(model.name, context[ASKED], parsed, str(http_response.url))
        except Exception:
            return

    def journal(self, call, asked, parsed, url):
        version, etag = parsed.get("VersionId"), parsed.get("ETag")
        state = "version:" + version if version and version != "null" else "etag:" + etag if etag else None
        fact = (asked, CALLS[call], state)
        if fact in self.seen:
            return
        self.seen.add(fact)
        described = {"bucket": asked[0], "key": asked[1], "write": CALLS[call], "version": state}
        if not CALLS[call]:
            whole = str(parsed.get("ContentRange", "")).rpartition("/")[2]
            described["size"] = int(whole) if whole.isdigit() else parsed.get("ContentLength")
        described["endpoint"] = server(url, asked[0])
        self.append("object", described)


def server(url, bucket):
    """The address of a server that is not AWS's; None for AWS."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return None
    return scheme + "://" + (host[len(bucket) + 1 :] if host.startswith(bucket + ".") else host)
