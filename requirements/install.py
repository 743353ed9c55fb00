"""Install packages with uv, in a third of pip's time, or with pip where uv is unavailable or fails.

    python requirements/install.py PYTHON ARGUMENTS...

PYTHON is that of the environment to install into; the arguments are those that `pip install` and
`uv pip install` share. Needs pip beside the Python that runs this. uv does not read pip's settings:
it is told them here, so that both ask the same index.
"""

import ast
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

UV = "uv==0.13.8"
SECTIONS = ("global", "install", ":env:")  # the later ones win
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def pip_settings(listed: str) -> dict[str, str]:
    """Return what `pip config list` printed as values by their names."""
    found = {}
    for section in SECTIONS:
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                found[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return found


def uv_variables(settings: dict[str, str]) -> dict[str, str]:
    """Return the same settings as uv's environment variables."""
    # pip takes the newest version of all indexes, uv that of the first that has any.
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for name, value in settings.items():
        if name in VARIABLES:
            separator = "," if name == "find-links" else " "
            variables[VARIABLES[name]] = separator.join(value.split())
    return variables


def uv_is_here() -> bool:
    """Return whether the version that is wanted is installed beside this Python."""
    name, _, wanted = UV.partition("==")
    try:
        return version(name) == wanted
    except PackageNotFoundError:
        return False


def uv_installs(python: str, arguments: list[str]) -> bool:
    """Install with uv; return whether that worked."""
    if (
        not uv_is_here()
        and subprocess.run([*PIP, "install", "--quiet", UV], check=False).returncode
    ):
        return False
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False)
    environment = {**uv_variables(pip_settings(listed.stdout)), **os.environ}
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "install", "--quiet", "--python", python, *arguments]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def main(python: str, arguments: list[str]) -> int:
    """Install; return the exit status."""
    if uv_installs(python, arguments):
        return 0
    print("uv could not; installing with pip", file=sys.stderr)
    command = [*PIP, "--python", python, "install", "--quiet", *arguments]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
