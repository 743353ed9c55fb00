"""Write the bill of materials of an image: CycloneDX 1.6, JSON, valid or not at all.

    .venv/supply/bin/python deploy/images/sbom.py --root ROOT --name seedstream/worker --out FILE

ROOT is the image's file system, mounted: nothing in it is run. It lists Debian's packages, Python,
and what is installed in ``opt/seedstream``, with licences and who needs whom; not what a wheel
carries inside (FFmpeg in PyAV's, for instance). The same image gives the same bytes.
"""

import argparse
import json
import sys
import uuid
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PREFIX = Path("opt/seedstream")
DPKG = Path("var/lib/dpkg/status")

_SPACE = uuid.UUID("5fd2d6b6-6a3d-4d6f-9d4e-3d2f8b9c7a10")
"""Namespace of the serial numbers, so that they follow from the content."""

_LONGEST_LICENCE = 100
"""Some packages have the licence's whole text where its name belongs."""


def debian_packages(status: str) -> Iterator[Component]:
    """Yield what dpkg says is installed."""
    for stanza in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version = fields["Package"], fields["Version"]
        where = {"arch": fields.get("Architecture", "all")}
        url = PackageURL("deb", "debian", name, version, where)
        yield Component(
            name=name, version=version, purl=url, bom_ref=str(url), type=ComponentType.LIBRARY
        )


def python_itself(prefix: Path) -> Iterator[Component]:
    """Yield the interpreter of a virtual environment."""
    for line in (prefix / "pyvenv.cfg").read_text().splitlines():
        name, _, version = line.partition(" = ")
        if name in ("version", "version_info"):
            yield Component(
                name="cpython", version=version, type=ComponentType.PLATFORM, bom_ref="cpython"
            )
            return


def python_packages(found: Iterable[Distribution]) -> dict[str, tuple[Component, Distribution]]:
    """Return installed distributions by their canonical names."""
    packages = {}
    for each in found:
        name = canonicalize_name(each.metadata["Name"])
        url = PackageURL("pypi", None, name, each.version)
        component = Component(
            name=each.metadata["Name"],
            version=each.version,
            purl=url,
            bom_ref=str(url),
            type=ComponentType.LIBRARY,
            description=(each.metadata["Summary"] or None),
        )
        licence = licence_of(each)
        if licence:
            component.licenses.add(LicenseFactory().make_from_string(licence))
        packages[name] = (component, each)
    return packages


def licence_of(distribution: Distribution) -> str | None:
    """Return a distribution's licence: the expression, a short text, or that of a classifier."""
    told = distribution.metadata
    text = told["License-Expression"] or (told["License"] or "").strip()
    if text and len(text) <= _LONGEST_LICENCE and "\n" not in text and text != "UNKNOWN":
        return str(text)
    named = [
        each.rpartition(" :: ")[2]
        for each in told.get_all("Classifier", [])
        if each.startswith("License :: ") and not each.endswith("OSI Approved")
    ]
    return named[0] if named else None


def needed_by(distribution: Distribution) -> Iterator[str]:
    """Yield the canonical names of what a distribution needs, without its extras."""
    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def bill(name: str, version: str, root: Path, site_packages: Path | None = None) -> str:
    """Return the bill of materials of a file system.

    Args:
        name: Name of the image.
        version: Its version.
        root: Where the file system is mounted.
        site_packages: Where Python's packages are; unless set, those of ``opt/seedstream``.

    Raises:
        ValueError: Nothing is installed there, or the document would be invalid.
    """
    prefix = root / PREFIX
    places = [site_packages] if site_packages else sorted(prefix.glob("lib/python3*/site-packages"))
    packages = python_packages(distributions(path=[str(place) for place in places]))
    if not packages:
        raise ValueError(f"no Python packages below {prefix}: is this the image's file system?")
    image = Component(name=name, version=version, type=ComponentType.CONTAINER, bom_ref=name)
    bom = Bom(metadata=BomMetaData(component=image))
    others: list[Component] = []
    if (root / DPKG).exists():
        others += debian_packages((root / DPKG).read_text())
    if (prefix / "pyvenv.cfg").exists():
        others += python_itself(prefix)
    components = {name: component for name, (component, _) in packages.items()}
    for component in (*components.values(), *others):
        bom.components.add(component)
    bom.register_dependency(image, [*components.values(), *others])
    for component, distribution in packages.values():
        needs = {each for each in needed_by(distribution) if each in components}
        bom.register_dependency(component, [components[each] for each in sorted(needs)])
    return _written(bom)


def _written(bom: Bom) -> str:
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # The time and a random number would make each run another document.
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_SPACE, content)}"
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        raise ValueError(f"not a valid CycloneDX document: {error}")
    return text


def main() -> int:
    """Write it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--site-packages", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        text = bill(given.name, given.version, given.root, given.site_packages)
    except ValueError as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)
    print(f"{given.out}: {len(json.loads(text)['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
