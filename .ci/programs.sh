#!/usr/bin/env bash
# Installs from Debian what tests start: proxies, Redis, interpreters, and promtool. What cannot be installed is named, and its tests are skipped.
set -uo pipefail

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "programs: not root on Debian: nothing is installed"
	exit 0
fi

missing=()
for package in nginx caddy haproxy curl redis-server redis-tools python3 python3-redis python3-grpcio python3-protobuf \
	protobuf-compiler protobuf-compiler-grpc php-cli php-redis php-predis ruby-redis prometheus; do
	dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
command -v node >/dev/null || missing+=(nodejs) # not always from Debian
[ -e /usr/share/nodejs/redis ] || missing+=(node-redis)
[ ${#missing[@]} = 0 ] && exit 0

policy=/usr/sbin/policy-rc.d # packages must not start what they bring along
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
	trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq >/dev/null || echo "programs: apt-get update failed"
for package in "${missing[@]}"; do # one by one: a package that is not there costs itself alone
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
		echo "programs: $package could not be installed"
done
