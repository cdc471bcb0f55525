#!/bin/sh
# Chromium for the browser tests, from the system's packages where that is allowed; else the one command to run.
set -eu
command -v chromium >/dev/null && exit 0
wanted="apt-get install -y --no-install-recommends chromium"
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif sudo -n true 2>/dev/null; then
        as_root="sudo"
    else
        echo "The browser tests need Chromium. Run this once, then make test again:  sudo $wanted" >&2
        exit 1
    fi
    echo "Installing Chromium for the browser tests"
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root $wanted -qq >/dev/null
else
    echo "The browser tests need a program named chromium on the PATH; install it with your system's packages." >&2
    exit 1
fi
