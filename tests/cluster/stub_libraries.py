"""Make stand-ins for NVIDIA's libraries, so that PyTorch's build for CUDA loads without them.

    python stub_libraries.py TORCH/LIB FOLDER

Every function that PyTorch's libraries ask of them is there and answers "no device", which is all
that training on the CPU needs: 0.3 MB instead of 3 GB. Uses readelf and gcc.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

NO_DEVICE = 100
"""Of CUDA's runtime and driver alike."""

NVIDIA = re.compile(r"lib(cu|nccl|nv)\w*\.so")
FUNCTION = re.compile(r"_*(cu|nccl|nv)[A-Za-z]")
TEXT = re.compile(r"Get\w*(String|Name)$")


def readelf(option: str, library: Path) -> str:
    """Return what readelf says of a library."""
    command = ["readelf", "--wide", option, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def asked_of_nvidia(folder: Path) -> tuple[set[str], dict[str, set[str]]]:
    """Return the names of the libraries that are needed, and the functions of each version."""
    libraries = [each for each in sorted(folder.glob("*.so*")) if each.is_file()]
    here = {each.name for each in libraries}
    needed: set[str] = set()
    functions: dict[str, set[str]] = defaultdict(set)
    for library in libraries:
        names = re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic", library))
        needed |= {name for name in names if NVIDIA.match(name) and name not in here}
        for line in readelf("--dyn-syms", library).splitlines():
            match = re.search(r" GLOBAL +DEFAULT +UND +(\w+)(?:@+(\S+))?", line)
            if match and FUNCTION.match(match[1]):
                functions[match[2] or ""].add(match[1])
    return needed, functions


def source(functions: set[str]) -> str:
    """Return C that defines the functions."""
    texts = {each for each in functions if TEXT.search(each)}
    lines = [f"int {each}(void) {{ return {NO_DEVICE}; }}" for each in sorted(functions - texts)]
    lines += [f'const char *{each}(void) {{ return "a stand-in"; }}' for each in sorted(texts)]
    return "\n".join(lines) + "\n"


def make(name: str, version: str, functions: set[str], out: Path) -> None:
    """Compile one library."""
    script = out / "version"
    script.write_text(f"{version} {{ *; }};\n")
    command = ["gcc", "-w", "-shared", "-fPIC", "-fno-builtin", f"-Wl,-soname,{name}"]
    command += [f"-Wl,--version-script={script}"] if version else []
    command += ["-x", "c", "-", "-o", str(out / name)]
    subprocess.run(command, input=source(functions), text=True, check=True)
    script.unlink()


def main(folder: Path, out: Path) -> None:
    """Make all of them."""
    out.mkdir(parents=True, exist_ok=True)
    needed, functions = asked_of_nvidia(folder)
    for name in sorted(needed):
        # A version has the name of its library, but for this one.
        version = "NVSHMEM" if "nvshmem" in name else name
        if version in functions:
            make(name, version, functions[version], out)
        else:
            # Which library has a function without a version cannot be told, nor does it matter:
            # each library without versions has them all.
            make(name, "", functions[""], out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
