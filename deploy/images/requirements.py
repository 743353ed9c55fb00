"""Print what the project depends on, with the extras given, as pip's requirements.

Used by the Dockerfile alone, so that what changes seldom is installed before the code.
"""

import sys
import tomllib

with open("pyproject.toml", "rb") as file:  # noqa: PTH123 - no more than it needs
    project = tomllib.load(file)["project"]
wanted = list(project["dependencies"])
for extra in sys.argv[1:]:
    wanted += project["optional-dependencies"][extra]
print("\n".join(wanted))
