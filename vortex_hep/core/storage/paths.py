"""Local paths and URLs, split and joined."""

from __future__ import annotations

import os
import posixpath
from urllib.parse import unquote

#: Schemes of the XRootD protocol.
XROOTD_SCHEMES = ("root", "roots", "xroot", "xroots")
_DEFAULT_PORTS = {"http": ":80", "https": ":443", **dict.fromkeys(XROOTD_SCHEMES, ":1094")}


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL, and no local path.

    Examples
    --------
    >>> is_url("root://eos.example.org//store/in.root"), is_url("in.root")
    (True, False)
    """
    return "://" in os.fspath(path)


def absolute(path: str | os.PathLike[str]) -> str:
    """Path under which a process with another working folder finds a file; URLs as they are.

    Examples
    --------
    >>> absolute("root://host//store/a.root"), absolute("/data/../files.txt")
    ('root://host//store/a.root', '/files.txt')
    """
    name = os.fspath(path)
    return name if is_url(name) else os.path.abspath(name)  # noqa: PTH100 - a str in, a str out


def scheme(path: str) -> str:
    """Scheme of a URL in lower case; of a local path, ``"file"``.

    Examples
    --------
    >>> scheme("root://host//a"), scheme("a")
    ('root', 'file')
    """
    return path.partition("://")[0].lower() if is_url(path) else "file"


def local_path(path: str) -> str:
    """Local path of a ``file://`` URL, or of what is one already.

    Examples
    --------
    >>> local_path("file:///data/my%20file.root"), local_path("my file.root")
    ('/data/my file.root', 'my file.root')
    """
    if scheme(path) != "file" or not is_url(path):
        return path
    rest = path.partition("://")[2]
    return unquote(rest.removeprefix("localhost"))


def split_url(url: str) -> tuple[str, str]:
    """Server (with scheme) and absolute path on it, without what follows a ``?`` on XRootD.

    Examples
    --------
    >>> split_url("root://host:1094//store/a b.root?xrd.gsiusrpxy=x")
    ('root://host:1094', '/store/a b.root')
    """
    kind, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if kind.lower() in XROOTD_SCHEMES:
        path = path.partition("?")[0]
        path = path.lstrip("/")
    return f"{kind}://{host}", f"{slash or '/'}{path}"


def join(folder: str, *parts: str) -> str:
    """Path of what is in a folder.

    Parameters
    ----------
    folder : str
    *parts : str
        Relative paths.

    Examples
    --------
    >>> join("root://host//store/", "sub", "a.root")
    'root://host//store/sub/a.root'
    """
    if not is_url(folder):
        return os.path.join(folder, *parts)  # noqa: PTH118 - Path would drop a leading "./"
    inner = "/".join(part.strip("/") for part in parts)
    return f"{folder if folder.endswith('//') else folder.rstrip('/') + '/'}{inner}"


def parent(path: str) -> str:
    """Folder that a file or folder is in.

    Examples
    --------
    >>> parent("root://host//store/a.root"), parent("root://host//store"), parent("a.root")
    ('root://host//store', 'root://host//', '.')
    """
    if not is_url(path):
        return os.path.dirname(path.rstrip(os.sep)) or (os.sep if path.startswith(os.sep) else ".")  # noqa: PTH120
    start = path.index("://") + 3
    cut = path.find("?", start) if scheme(path) in XROOTD_SCHEMES else -1
    whole = (path if cut < 0 else path[:cut]).rstrip("/")
    at = whole.rfind("/")
    if at < start:
        return path
    above = whole[:at]
    return f"{above}/" if above.endswith("/") or "/" not in above[start:] else above


def name(path: str) -> str:
    """Last part of a path.

    Examples
    --------
    >>> name("root://host//store/a.root"), name("folder/")
    ('a.root', 'folder')
    """
    if not is_url(path):
        return os.path.basename(path.rstrip(os.sep))  # noqa: PTH119 - a str in, a str out
    return split_url(path)[1].rstrip("/").rpartition("/")[2]


def server_of(path: str) -> str:
    """Scheme and host of a URL, alike for all ways to write it; "" for a local path.

    Examples
    --------
    >>> server_of("root://EOS.example.org:1094//store/a.root"), server_of("a.root")
    ('root://eos.example.org', '')
    """
    return server_and_path(path)[0]


def same_file_key(path: str) -> str:
    """A text that is equal for two ways to write one file's path or URL.

    Links are not followed: on the file systems that lists of files are about, that takes long.

    Examples
    --------
    >>> same_file_key("root://Host:1094//store/./a.root?xrd.wantprot=gsi")
    'root://host/store/a.root'
    """
    server, path = server_and_path(path)
    return server + path


def server_and_path(path: str) -> tuple[str, str]:
    """Server and absolute path of a file, alike for all ways to write them.

    Examples
    --------
    >>> server_and_path("root://Host:1094//store/./a.root")
    ('root://host', '/store/a.root')
    """
    if not is_url(path) or scheme(path) == "file":
        return "", os.path.abspath(local_path(path))  # noqa: PTH100 - as text, without resolving
    kind = scheme(path)
    host, inner = split_url(path)
    host = host.partition("://")[2].lower().removesuffix(_DEFAULT_PORTS.get(kind, "\0"))
    if kind in XROOTD_SCHEMES:
        # What follows a "?" are credentials and wishes, unless it names a member of a zip file.
        query = path.partition("?")[2]
        member = f"?{query}" if "xrdcl.unzip=" in query else ""
        kind = kind.replace("xroot", "root")
    else:
        inner, mark, query = inner.partition("?")
        member = mark + query
    inner = posixpath.normpath("/" + inner.lstrip("/"))
    return f"{kind}://{host}", inner + member
