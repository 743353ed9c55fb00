#!/bin/sh
# install.sh FOLDER ARGUMENTS...: installs into /opt/seedstream what the arguments say, and leaves a copy of what that
# added there in /added/FOLDER, for a layer of its own. In the stage `build` of the Dockerfile alone.
set -eu
folder=/added/$1
shift
touch /opt/installer/before
/opt/installer/bin/python /src/requirements/install.py /opt/seedstream/bin/python "$@"
mkdir -p "$folder"
cd /
# By the time of change, which cannot be carried over from a cache.
find opt/seedstream ! -type d -cnewer /opt/installer/before -print0 | tar -c --null -T - | tar -x -C "$folder"
