#!/bin/sh
# The programs of other people that the tests call us with and through, from the system's packages where that is
# allowed; else the one command to run. A browser is needed; without the others their tests are skipped, and say so.
set -eu
missing=""
need() { # need COMMAND-OR-FILE PACKAGES...
    command -v "$1" >/dev/null || [ -e "$1" ] || { shift; missing="$missing $*"; }
}
need chromium chromium
if [ "$(uname -s)" = Linux ] && [ "${VOXRTC_TEST_PEERS:-all}" != none ]; then
    need firefox-esr firefox-esr
    need turnserver coturn
    need nft nftables
    need ip iproute2
    need node nodejs
    need npm npm
    need gst-inspect-1.0 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
        gstreamer1.0-nice gir1.2-gst-plugins-bad-1.0 python3-gi
    need /usr/lib/python3/dist-packages/gi python3-gi gir1.2-gst-plugins-bad-1.0
fi
[ -n "$missing" ] || exit 0
install="apt-get install -y --no-install-recommends"
if ! command -v apt-get >/dev/null; then
    command -v chromium >/dev/null && { echo "Not installed, their tests are skipped:$missing" >&2; exit 0; }
    echo "The browser tests need a program named chromium on the PATH; install it with your system's packages." >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo"
elif command -v chromium >/dev/null; then
    echo "Not installed, their tests are skipped. To have them:  sudo $install$missing" >&2
    exit 0
else
    echo "The browser tests need Chromium. Run this once, then make test again:  sudo $install$missing" >&2
    exit 1
fi
echo "Installing for the tests:$missing"
$as_root apt-get update -qq
known="" # not every distribution has them all (Ubuntu has no firefox-esr)
for package in $missing; do
    if [ "$package" = chromium ] || apt-cache show "$package" >/dev/null 2>&1; then
        known="$known $package"
    else
        echo "There is no package $package here; its tests are skipped." >&2
    fi
done
# shellcheck disable=SC2086 - a list of words
DEBIAN_FRONTEND=noninteractive $as_root $install $known -qq >/dev/null
case "$known" in
*coturn*) # its package starts a TURN server for everybody; the tests start their own
    if [ -d /run/systemd/system ]; then $as_root systemctl disable --now --quiet coturn; else $as_root service coturn stop >/dev/null; fi ;;
esac
