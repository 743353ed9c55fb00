# A trainer for the tests, which train on the CPU: what the target `trainer` of deploy/images/Dockerfile has, less Triton and
# with stand-ins for NVIDIA's libraries (stub_libraries.py): 2 GB instead of 6.6. Upon the image of the workers, which has the
# project and what it needs online, in the same place and under the same user.
ARG WORKER=docker.io/seedstream/worker:0.1.0
FROM ${WORKER}
USER 0
ARG UV_NO_CACHE=1
ARG UV_CACHE_DIR=/tmp/uv-cache
COPY requirements.py pyproject.toml install.py constraints.txt /src/
RUN cd /src && python3 -m venv /opt/installer \
 && python3 requirements.py cpu train > wanted.txt \
 && sed -nE 's/^((nvidia|cuda)[a-z0-9-]*|triton)==.*/\1; sys_platform == "never"/p' constraints.txt > without.txt \
 && PIP_NO_CACHE_DIR=1 UV_LINK_MODE=copy \
    /opt/installer/bin/python install.py /opt/seedstream/bin/python -c constraints.txt --overrides without.txt -r wanted.txt \
 && rm -rf /opt/installer /src
COPY stubs /opt/seedstream/lib/python3.11/site-packages/torch/lib/
USER 10001:10001
CMD ["train"]
